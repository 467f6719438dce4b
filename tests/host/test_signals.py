"""Requests to stop stay with the run, whatever a library does to them."""

import signal
import threading

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
