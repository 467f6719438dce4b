"""What the guide says of reports is what was measured."""

from __future__ import annotations

from guide.test_numbers import flat, result


def test_what_is_said_of_reports() -> None:
    told, said = result("report"), flat("quality")
    rows = {
        name: [each[head] for head in ("10000", "50000", "demo")]
        for name, each in told["rows"].items()
    }
    index, taken, page = (
        rows[f"report: {part}, s"][0] for part in ("index and outliers", "pictures", "page")
    )
    first, second, demo = rows["report, MB"]
    assert f"report.json`, commit {told['machine']['commit'][:7]})" in said
    assert (
        f"the report of 10,000 cases: {index:.1f} s for the index, {taken:.1f} s for "
        f"{rows['pictures'][0]} pictures, {page:.2f} s for a page of {first:.1f} MB; of 50,000 it has "
        f"{second:.1f} MB, of the demo {demo:.1f} MB."
    ) in said
    assert first < 10 > second
