"""Memory that was handed out goes back when nobody holds it any more, a turn later."""

import weakref

import numpy as np
import pytest

from gpuprep.device.lent import Lent


class Mark:
    def synchronize(self) -> None:
        pass


def test_what_is_held_elsewhere_is_kept_and_what_is_dropped_goes_a_turn_later() -> None:
    lent, marks = Lent(), [Mark() for _ in range(4)]
    array, seen = np.empty((4, 5)), []
    lent.add(array)
    owner = weakref.ref(array)
    seen.append(lent.turn(marks[0]))
    assert owner() is not None
    del array
    seen.append(lent.turn(marks[1]))  # found dropped, behind mark 1
    assert owner() is not None
    seen.append(lent.turn(marks[2]))  # its memory is free for work that follows mark 1
    assert owner() is None
    assert seen == [None, marks[0], marks[1]]


@pytest.mark.parametrize("view", [lambda a: a[:, 0], lambda a: a[1:][:, 2], lambda a: a.T])
def test_a_view_keeps_the_whole(view) -> None:
    lent = Lent()
    whole = np.empty((4, 5))
    owner = weakref.ref(whole)
    part = view(whole)
    lent.add(view(whole))
    del whole
    for _ in range(3):
        lent.turn(Mark())
        assert owner() is not None
    other = part[:1]
    del part
    lent.turn(Mark())
    lent.turn(Mark())
    assert owner() is not None
    del other
    lent.turn(Mark())
    assert owner() is not None
    lent.turn(Mark())
    assert owner() is None
