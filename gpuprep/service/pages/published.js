// `window.gpuprepView`: what the page shows, in numbers, for tests in a browser.
import { useEffect, useRef } from "./vendor/preact.js";
import { labelOf } from "./readout.js";

export function usePublished({ view, models, channels, scene, change, goTo, asked, isWorking, shown, map, table, exact }) {
  const drawn = useRef(0), seen = useRef(false);
  useEffect(() => { // the effects of the sides have run by now
    drawn.current = asked.current;
    seen.current ||= shown.every((side) => models[side].image);
    if (!seen.current) return;
    window.gpuprepView = {
      get ready() { return drawn.current === asked.current && !isWorking(); },
      goTo,
      setCrosshair: (isThere) => change({ isBare: !isThere }), // with the letters and the crop box
      setWindow: (window) => change({ window }),
      state: () => ({
        id: view.id, mm: scene.mm, window: scene.window, isRadiological: scene.isRadiological, map,
        ...Object.fromEntries(shown.map((side) => [side, sideState(models[side], channels[side], scene, table, exact[side])])),
      }),
      panes,
    };
  });
}

function sideState(model, channel, { mm }, table, exact) {
  const at = model.at(mm, channel, exact);
  return {
    ...at, mm: model.image && model.pointOfDrawn(model.drawnVoxel(mm)), labelName: at.label === null ? null : labelOf(at.label, table),
    letters: model.letters, level: model.image?.number ?? null, road: model.image?.road ?? null,
  };
}

/** Where the planes lie in the window, and the letters at their sides. */
function panes() {
  return [...document.querySelectorAll(".viewer .plane")].map((element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    const letters = [...element.querySelectorAll(".letter")].map((each) => [each.classList[1], each.textContent]);
    return {
      side: element.closest("[data-side]").dataset.side, plane: element.dataset.plane, rect: { left, top, width, height },
      letters: Object.fromEntries(letters),
    };
  });
}
