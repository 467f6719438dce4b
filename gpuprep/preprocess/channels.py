"""What is done to the values of each channel: what ``image.channels`` says, else what ``image`` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gpuprep.config.filters import Filters
from gpuprep.config.image import Image
from gpuprep.config.intensity import IntensityStep
from gpuprep.config.model import Config
from gpuprep.preprocess.intensity import Outside
from gpuprep.preprocess.standards import with_own_standards
from gpuprep.values.errors import ConfigError, InputError, ValueRangeError


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """The intensity steps of one channel, what becomes of its voxels outside the foreground, and the values
    that these steps are meant for."""

    steps: tuple[IntensityStep, ...]
    outside: Outside
    within: tuple[float, float] | None = None
    filters: Filters = ()
    key: str = ""
    """What the channel's standards go by: its name, or its number where others are called so, too."""

    def check(self, name: str, lowest: float, highest: float) -> None:
        """Raises ValueRangeError where the values of a channel are others than they are meant to be."""
        if self.within is not None and (lowest < self.within[0] or highest > self.within[1]):
            low, high = self.within
            raise ValueRangeError(
                f"channel {name} holds values from {lowest:g} to {highest:g}, and its steps are meant for "
                f"{low:g} to {high:g} (image.channels: within)",
                advice="correct the file, or treat the channel as what it is",
            )


def channel_rules(image: Image, names: Sequence[str]) -> tuple[ChannelRule, ...]:
    """The rules of the channels of a case, in their order.

    Raises:
        InputError: E_CHANNELS, where ``image.channels`` names one that the case does not have, or a standard
            is of others.
    """
    try:
        return _rules(image, names)
    except ConfigError as error:
        raise InputError("E_CHANNELS", error.message, advice=error.advice) from None


def _rules(image: Image, names: Sequence[str]) -> tuple[ChannelRule, ...]:
    told = {place: image.channels[key] for key, place in places(image.channels, names).items()}
    usual = ChannelRule(image.intensity, image.foreground.outside, None, image.filters)
    rules = [usual] * len(names)
    for place, channel in told.items():
        steps = usual.steps if channel.intensity is None else channel.intensity
        filters = usual.filters if channel.filters is None else channel.filters
        outside = channel.outside or usual.outside
        rules[place] = ChannelRule(steps, outside, channel.within, filters)
    for place, name in enumerate(names):
        key = name if names.count(name) == 1 else str(place)
        steps = with_own_standards(rules[place].steps, key, alone=len(names) == 1)
        rules[place] = replace(rules[place], steps=steps, key=key)
    return tuple(rules)


def check_channels(config: Config, names: Sequence[str]) -> None:
    """Refuse a config that names channels which a cohort of these does not have, or has standards of others.

    Raises:
        ConfigError: with the names it does have.
    """
    for part in (config, *config.parts().values()):
        _rules(part.image, names)


def places(keys: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """Which channel each key of ``image.channels`` means: the one of that name, or else of that number.

    >>> places(["PET", "0"], ["CT", "PET"])
    {'PET': 1, '0': 0}

    Raises:
        ConfigError: none, several, or one that another key means, too.
    """
    found: dict[str, int] = {}
    for key in keys:
        place = _place(key, names)
        for other, taken in found.items():
            if taken == place:
                raise ConfigError(
                    f"image.channels names channel {place} twice, as {other} and as {key}",
                    advice="leave one of them out",
                )
        found[key] = place
    return found


def _place(key: str, names: Sequence[str]) -> int:
    known = ", ".join(names)
    if names.count(key) > 1:
        numbers = [str(place) for place, name in enumerate(names) if name == key]
        raise ConfigError(
            f"image.channels names {key}, and {len(numbers)} of the channels {known} are called so",
            advice=f"name each by its number, as text: {', '.join(numbers)}",
        )
    if key in names:
        return names.index(key)
    if key.isascii() and key.isdigit() and int(key) < len(names):
        return int(key)
    raise ConfigError(
        f"image.channels names {key}, and the channels are {known}",
        advice="name them as they are called, or by their numbers from 0, as text",
    )
