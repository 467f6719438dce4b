"""The table of finding codes and policies in the guide, as the code has it.

``PYTHONPATH=tests python -m guide.findings`` writes it into the page.
"""

from pathlib import Path

import gpuprep
from gpuprep.values.codes import CODES, Code

PAGE = Path(gpuprep.__file__).parent / "guide" / "findings.md"
HEADER = "| code | meaning | `warn`, `skip` | `fix` |\n| --- | --- | --- | --- |\n"


def row(name: str, code: Code) -> str:
    cells = (f"`{name}`", code.meaning, code.allowed or "refused", code.fixed or "refused")
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    return HEADER + "".join(row(name, code) for name, code in CODES.items())


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    PAGE.write_text(text[: text.index(HEADER)] + table(), "utf-8")
