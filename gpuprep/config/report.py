"""Which files about the whole cohort a run leaves beside its cases."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from gpuprep.config.strict import Strict

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\."

Html = Annotated[str, StringConstraints(pattern=_NAME + "html$")]
Csv = Annotated[str, StringConstraints(pattern=_NAME + "csv$")]
Parquet = Annotated[str, StringConstraints(pattern=_NAME + "parquet$")]


class Report(Strict):
    """Files about the whole cohort, written into the output at the end of a run that was not stopped.

    Each is ``true``, or the name of the file; it decides nothing about the cases.
    """

    html: bool | Html = False
    """The report, one document with all in it: ``report.html``."""
    csv: bool | Csv = False
    """Every measured number, one row per case: ``cohort.csv``."""
    parquet: bool | Parquet = False
    """The same as Parquet, which needs pyarrow: ``cohort.parquet``."""

    @property
    def names(self) -> dict[str, str]:
        """What is asked for, by kind, and the name of its file."""
        asked = {"html": self.html, "csv": self.csv, "parquet": self.parquet}
        return {
            kind: DEFAULT_NAMES[kind] if name is True else str(name)
            for kind, name in asked.items()
            if name
        }


DEFAULT_NAMES = {"html": "report.html", "csv": "cohort.csv", "parquet": "cohort.parquet"}
