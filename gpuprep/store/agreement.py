"""What the cases of a stored cohort agree on, as its own file says; in older cohorts as the cases say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from gpuprep.store.layout import AGREEMENT_FILE
from gpuprep.store.places import Place
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.errors import CorruptStoreError, StoreError

_FAULTS = (KeyError, TypeError, ValueError, AttributeError)

Told = tuple[str, tuple[str, ...], Mapping[str, Mapping[int, str]]]
"""Of one case: its id, its channels, and the names of its values per label map."""


def read_agreement(cohort: Place) -> Agreement | None:
    """What ``agreement.json`` says; None where there is none.

    Raises:
        CorruptStoreError: it is damaged.
    """
    file = cohort / AGREEMENT_FILE
    text = file.content()
    if text is None:
        return None
    try:
        return Agreement.from_json(json.loads(text))
    except _FAULTS as error:
        raise CorruptStoreError(
            f"{file} does not tell what the cases agree on ({error!r})",
            advice="run the same command again; it is written anew from cases, input and config",
        ) from error


def agreement_of(cases: Iterable[Told]) -> Agreement:
    """The agreement that cases show by themselves.

    Raises:
        StoreError: two of them mean different things by a channel or a value.
    """
    channels: tuple[str, ...] | None = None
    first = ""
    names: dict[str, dict[int, str]] = {}
    for case_id, own, labels in cases:
        if channels is None:
            channels, first = own, case_id
        elif own != channels:
            raise _disagree(f"{first} has channels {list(channels)}, {case_id} has {list(own)}")
        for label, values in labels.items():
            known = names.setdefault(label, {})
            for value, name in values.items():
                if known.setdefault(value, name) != name:
                    raise _disagree(
                        f"value {value} of label {label} is {known[value]!r} and, in {case_id}, {name!r}"
                    )
    return Agreement(channels or (), {label: Classes(known) for label, known in names.items()})


def _disagree(how: str) -> StoreError:
    return StoreError(
        f"the cases of this cohort do not agree: {how}", advice="make it anew with run --overwrite"
    )
