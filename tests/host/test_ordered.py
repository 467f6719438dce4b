"""Results in the order of the items, and an early end that waits for little."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from gpuprep.host.ordered import ordered_map


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert list(ordered_map(lambda n: n * n, range(50), threads)) == [n * n for n in range(50)]


def test_what_has_not_begun_is_given_up_at_an_early_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, given_up, cancel = [], threading.Event(), Future.cancel

    def cancelled(future: Future[int]) -> bool:
        done = cancel(future)
        if done:
            given_up.set()
        return done

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError("one")
        if number == 2:
            assert given_up.wait(60)
        return number

    monkeypatch.setattr(Future, "cancel", cancelled)
    results = ordered_map(work, range(9), 1)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)
    assert begun == [0, 1, 2]
