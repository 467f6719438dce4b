"""Prometheus' text: parsed strictly by its grammar, from the file and from the endpoint."""

import re
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import generate_latest
from support.commands import call

from gpuprep.ledger.metrics import CONTENT_TYPE, Metrics, served
from gpuprep.values.errors import UsageError
from gpuprep.values.events import (
    CaseDone,
    CaseFailed,
    CaseStarted,
    RunFinished,
    RunStarted,
    StageSpan,
)

pytestmark = pytest.mark.usefixtures("reads_here")

NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([-+0-9.eE]+|NaN|[+-]Inf)")


def parse(text):
    """Samples of a text exposition; every rule of the format that a scraper relies on is asserted."""
    assert text.endswith("\n")
    kinds, samples, family = {}, {}, ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in kinds, "a family comes in one piece"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert kind in ("counter", "gauge")
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == family
            assert (found[1], found[2]) not in samples
            samples[found[1], found[2]] = float(found[3])
    return samples


def test_events_are_counted():
    metrics = Metrics()
    for event in (
        RunStarted(5, 2, "numpy"),
        CaseDone("a", skipped=True),
        CaseStarted("b"),
        CaseStarted("c"),
        CaseStarted("c", attempt=2),
        CaseDone("b", False, 10, 4, stages=(StageSpan("read", 0, 0.5), StageSpan("read", 1, 0.25))),
        CaseFailed("d", "input", "E_X", "broken"),
    ):
        metrics(event)
    samples = parse(generate_latest(metrics).decode())
    assert samples["gpuprep_cases", None] == 5
    assert samples["gpuprep_inflight", None] == 1
    assert samples["gpuprep_retries_total", None] == 1
    assert samples["gpuprep_items_total", 'class="input",state="failed"'] == 1
    assert samples["gpuprep_items_total", 'class="",state="done"'] == 1
    assert samples["gpuprep_bytes_total", 'dir="in"'] == 10
    assert samples["gpuprep_stage_seconds_total", 'stage="read"'] == 0.75
    metrics(RunFinished(1, 1, 1, 2, 1.0, 10, 4))
    assert parse(generate_latest(metrics).decode())["gpuprep_running", None] == 0


def test_a_run_keeps_its_file(cohort_folder, tmp_path):
    words = ("run", cohort_folder, tmp_path / "out", "--scheduler", "serial", "--metrics")
    call(*words, tmp_path / "gpuprep.prom", "--metrics-port", 0, check=0)
    samples = parse((tmp_path / "gpuprep.prom").read_text())
    assert samples["gpuprep_items_total", 'class="",state="done"'] == 4
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["gpuprep.prom"]
    call(*words, tmp_path / "absent" / "gpuprep.prom", check=2)


def test_the_endpoint_answers_on_loopback_only():
    metrics = Metrics()
    metrics(RunStarted(3, 1, "numpy"))
    with served(metrics, 0) as port:
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert parse(answer.read().decode())["gpuprep_cases", None] == 3
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}/etc/passwd", timeout=10)
        caught.value.close()
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", port)) != 0
        with pytest.raises(UsageError, match="in use"), served(metrics, port):
            raise AssertionError("one port has two servers")
