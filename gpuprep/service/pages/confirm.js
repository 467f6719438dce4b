// A button that asks in the page before it acts.
import { html, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { Failure } from "./shell.js";

/**
 * Once it has acted, the heading above has the focus; else the button has it again.
 * label: on the button; question: text or what to show; yes, no: on the two answers; act: done on yes, may be
 * a promise, whose failure is shown; onOpen: told when it is opened.
 */
export function Confirm({ label, name, question, yes, no = "No, leave it", act, onOpen, isReady = true, tone = "" }) {
  const [isOpen, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const opener = useRef();
  const box = useRef();
  const wasOpen = useRef(false);
  useLayoutEffect(() => {
    if (isOpen) box.current?.focus();
    else if (wasOpen.current) opener.current?.focus();
    wasOpen.current = isOpen;
  }, [isOpen]);
  const close = () => { setOpen(false); setProblem(null); };
  const answer = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const heading = box.current.closest("section, main").querySelector("h1, h2");
      await act();
      wasOpen.current = false; // the button may go with what was done
      heading?.setAttribute("tabindex", "-1");
      heading?.focus({ preventScroll: true });
      setOpen(false);
    } catch (found) {
      setProblem(found);
    }
    setBusy(false);
  };
  if (!isOpen) {
    const open = () => { setOpen(true); onOpen?.(); };
    return html`<button type="button" ref=${opener} aria-label=${name} onClick=${open}>${label}</button>`;
  }
  return html`<div class=${`confirm ${tone}`} role="group" aria-label=${name ?? label} tabindex="-1" ref=${box}
      onKeyDown=${(event) => event.key === "Escape" && close()}>
    <div>${question}</div>
    ${problem && html`<${Failure} problem=${problem} />`}
    <div class="choices">
      <button type="button" class="main" disabled=${isBusy || !isReady} onClick=${answer}>${yes}</button>
      <button type="button" disabled=${isBusy} onClick=${close}>${no}</button>
    </div>
  </div>`;
}
