"""The files about the whole cohort that a config asks for at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

from gpuprep.config.report import Report
from gpuprep.store.places import Place
from gpuprep.values.errors import GpuprepError
from gpuprep.values.events import Notice


def write_reports(place: Place, asked: Report) -> Iterator[Notice]:
    """Write what is asked for into an output; what it cannot be is told, and costs the run nothing."""
    if not asked.names:
        return
    from gpuprep.quality.report import report_of, write_beside  # pictures, which few runs need

    try:
        report = report_of(place)
    except (GpuprepError, OSError) as error:
        yield Notice(f"no report was made: {error}")
        return
    for kind, name in asked.names.items():
        try:
            content = getattr(report, kind)()
            yield Notice(f"report: {write_beside(place, name, content)}")
        except (GpuprepError, OSError) as error:
            advice = getattr(error, "advice", "")
            yield Notice(
                f"report.{kind}: {name} was not written: {error}{advice and f'; {advice}'}"
            )
