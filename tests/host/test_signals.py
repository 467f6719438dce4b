"""Requests to stop stay with the run, whatever a library does to them."""

import signal
import threading

import pytest

from gpuprep.host.signals import Interrupts, signals_kept


def test_what_a_library_sets_up_is_undone():
    with Interrupts(1.0):
        before = signal.getsignal(signal.SIGINT)
        with signals_kept():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) == before


def test_in_another_thread_it_does_nothing():
    errors = []

    def use():
        try:
            with signals_kept():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert not errors


@pytest.fixture
def alarms():
    """An alarm of the process's own in a minute, and the list of those that rang."""
    rang = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    left = signal.setitimer(signal.ITIMER_REAL, 60.0)[0]  # the tests' own time-out
    yield rang
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, left)


def test_an_alarm_of_the_process_rings_in_a_run(alarms):
    with Interrupts(1.0):
        signal.raise_signal(signal.SIGALRM)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    assert len(alarms) == 1


def test_an_alarm_of_the_process_goes_on_after_a_drain(alarms):
    with Interrupts(500.0) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.requested
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 400
    assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    signal.raise_signal(signal.SIGALRM)
    assert len(alarms) == 1


def test_the_end_of_a_drain_stops_the_block_and_leaves_the_alarm(alarms):
    def wait_for_the_end():
        with Interrupts(0.01):
            signal.raise_signal(signal.SIGINT)
            threading.Event().wait(30)

    with pytest.raises(KeyboardInterrupt):
        wait_for_the_end()
    assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    assert not alarms
