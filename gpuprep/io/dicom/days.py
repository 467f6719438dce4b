"""Times of a PET series whose dates contradict each other, as anonymisers leave them, and clocks do not.

Public collections hold many: dates in private tags or of the injection are moved by another number of days
than those of the acquisition. Where a clock alone leaves one answer it is taken, and told.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gpuprep.io.suv import LONGEST_BEFORE, MOST_HALF_LIVES

_DAY = timedelta(days=1)


def on_the_day_of(acquired: datetime | None, own: datetime, notes: list[str]) -> datetime:
    """A scan's start on the day that is nearest to its first acquisition."""
    days = 0 if acquired is None else round((acquired - own) / _DAY)
    if days:
        notes.append(
            f"the scanner's own scan start is {abs(days)} days from the acquisition, and its clock was taken"
        )
    return own + days * _DAY


def seconds_between(
    injected: datetime, moment: datetime, half_life: float, notes: list[str]
) -> float:
    """Seconds from an injection to a moment; of the clocks alone where dates cannot be and a day is too long.

    A tracer of which nothing is left after a day was injected within the day before its scan. With longer
    half-lives nothing tells the day: the seconds are then those of the dates, for ``decayed`` to refuse.
    """
    apart = (moment - injected).total_seconds()
    longest = MOST_HALF_LIVES * half_life
    if -LONGEST_BEFORE <= apart <= longest:
        if apart < 0:
            notes.append(_dynamic(-apart))
        return apart
    by_clock = apart % _DAY.total_seconds()
    if by_clock > longest or longest >= _DAY.total_seconds():
        return apart
    days = round((by_clock - apart) / _DAY.total_seconds())
    notes.append(
        f"the date of the injection is {abs(days)} days from one that fits, and its clock was taken"
    )
    return by_clock


def seconds_by_clock(clock: float, moment: datetime, half_life: float, notes: list[str]) -> float:
    """Seconds from an injection, of which only the time of the day is told, to a moment within a day of it.

    It was before the moment, on that day or on the one before; or a few minutes after it, as in a dynamic
    scan, if the tracer lasts less than a day. What nothing else tells is noted.
    """
    day = _DAY.total_seconds()
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    apart = ((moment - midnight).total_seconds() - clock) % day
    lasts = MOST_HALF_LIVES * half_life
    if lasts < day and apart > max(lasts, day - LONGEST_BEFORE):
        notes.append(_dynamic(day - apart))
        return apart - day
    if (moment - midnight).total_seconds() < clock:
        notes.append("the injection has no date, and was taken as on the day before the scan")
    elif lasts >= day:
        notes.append("the injection has no date, and was taken as on the day of the scan")
    return apart


def _dynamic(seconds: float) -> str:
    return f"the injection is {seconds:.0f} s after the scan's start, as in a dynamic one"
