"""Reading in the process of the test, for tests of what comes after reading.

A child that reads takes half a second to start, and most runs of the tests have one small case. Here the
child's own code answers in this process: only the start and the socket are left out. ``tests/io``,
``tests/running``, ``tests/executors`` and ``tests/chaos`` read as users do.
"""

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest

from gpuprep.io.sandbox import child, parent
from gpuprep.values.case import Source


class Answer:
    """The end of a wire that keeps what is sent, as the other end would have got it."""

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        self.message = json.loads(json.dumps(message))
        self.descriptors = [os.dup(descriptor) for descriptor in descriptors]


def ask_here(
    sandbox: parent.Sandbox, operation: str, sources: Sequence[Source]
) -> tuple[dict[str, Any], list[int]]:
    """What ``Sandbox._ask`` gives, without a child."""
    answer = Answer()
    asked = [asdict(source) for source in sources]
    request = json.loads(json.dumps({"operation": operation, "sources": asked}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a child's warnings are nobody's errors
        child._serve(answer, request, sandbox.rules, memory=0)
    if "error" in answer.message:
        raise parent._error(answer.message["error"], sources[0])
    return answer.message["answer"], answer.descriptors


@contextmanager
def reading_here() -> Iterator[None]:
    """Sandboxes of this process read without a child meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parent.Sandbox, "_ask", ask_here)
        yield
