"""Pictures of every page, to look at: ``PYTHONPATH=.:tests python tests/browser/screenshots.py FOLDER``."""

import sys
import tempfile
from pathlib import Path

from support.chromium import SETTLED, Page, chromium
from support.cohorts import run, write_pair
from support.odd_scans import planted_cohort
from support.phantoms import turned_cohort
from support.serving import serving

PAGES = {
    "home": "/",
    "cohort": "/cohorts/planted",
    "case": "/cohorts/liver/cases/volume-1",
    "oblique": "/cohorts/turned/cases/oblique-SRP",
    "png": "/cohorts/liver/cases/volume-1?force=png",
    "jobs": "/jobs",
    "machine": "/machine",
    "unknown": "/cohorts/liver/cases/nobody",
}


def shoot(page: Page, folder: Path, name: str, path: str) -> None:
    page.goto(path, SETTLED)
    if "/cases/" in path and "nobody" not in path:
        page.wait("window.gpuprepView?.ready", 60)
    for width in (1280, 390):
        page.resize(width, 800)
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            page.js("new Promise((done) => setTimeout(done, 400))")
            (folder / f"{name}-{width}-{scheme}.png").write_bytes(page.png(whole=True))


def main(folder: Path, *wanted: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        work = Path(name)
        made, data = work / "service/cohorts", work / "data"
        for each in (made, data / "pairs"):
            each.mkdir(parents=True)
        for number in range(2):
            write_pair(data / "pairs", number)
        run(data / "pairs", made / "liver")
        turned_cohort(data / "turned", made / "turned")
        planted_cohort(data / "planted", made / "planted")
        with serving(work / "service", data) as served:
            jobs = [served.submit(path="pairs", output=f"job-{number}") for number in range(2)]
            for job in jobs:
                served.ended(job["id"])
            page = browser.page(served.url)
            page.goto(served.link, SETTLED)
            for each, path in {**PAGES, "job": f"/jobs/{jobs[0]['id']}"}.items():
                if not wanted or each in wanted:
                    shoot(page, folder, each, path)
            print("\n".join(page.complaints()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
