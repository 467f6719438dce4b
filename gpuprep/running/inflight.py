"""Which cases are in the hands of an executor, and which of them in one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gpuprep.preprocess.task import CaseTask


class InFlight:
    """Cases that were handed out and did not come back. A task counts until its last case is back."""

    def __init__(self) -> None:
        self._tasks: dict[str, CaseTask] = {}
        self._batch_of: dict[str, int] = {}
        self._left: Counter[int] = Counter()  # cases by batch
        self._number = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[CaseTask]:
        return iter(list(self._tasks.values()))

    @property
    def batches(self) -> int:
        """Tasks of an executor, of one case or more."""
        return len(self._left)

    def add(self, together: Sequence[CaseTask]) -> None:
        """Cases were handed out as one task."""
        self._number += 1
        self._left[self._number] = len(together)
        for task in together:
            self._tasks[task.case.id] = task
            self._batch_of[task.case.id] = self._number

    def remove(self, task: CaseTask) -> None:
        """A case came back."""
        del self._tasks[task.case.id]
        batch = self._batch_of.pop(task.case.id)
        self._left[batch] -= 1
        if not self._left[batch]:
            del self._left[batch]

    def clear(self) -> None:
        """Nothing comes back any more."""
        self._tasks.clear()
        self._batch_of.clear()
        self._left.clear()
