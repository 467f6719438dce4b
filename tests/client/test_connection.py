"""What a client does when a service is away, busy or not itself."""

import json
import subprocess
import sys
import time

import pytest
from support.receiver import Received, Receiver, Reply, receiving
from support.serving import Served

import gpuprep
from gpuprep.client.following import lines_of, parse_events
from gpuprep.values.errors import ServiceError, UsageError

JOB = {"id": "0" * 20, "owner": "a", "state": "queued", "root": "r", "path": "", "output": "o"}
BUSY = {"title": "Service Unavailable", "detail": "full", "code": "E_FULL", "advice": "wait"}


def reply(tree: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(tree).encode(), headers)


def client_of(receiver: Receiver, patience: float = 20.0) -> gpuprep.Client:
    return gpuprep.Client(receiver.url, "gpr_secret", patience=patience)


def test_a_lost_answer_makes_no_second_job(served: Served) -> None:
    with served.ask() as real:

        def forward(number: int, request: Received) -> Reply:
            headers = {**request.headers, "Host": str(real.base_url.netloc, "ascii")}
            answer = real.request(
                request.method, request.path, content=request.body, headers=headers
            )
            return Reply(0) if number == 0 else Reply(answer.status_code, answer.content)

        with (
            receiving(forward) as receiver,
            gpuprep.Client(receiver.url, served.tokens["submit"]) as client,
        ):
            job = client.submit("data", "good", "once", executor="serial")
            assert [each.id for each in client.jobs(cohort="once")] == [job.id]
            assert client.wait(job.id).state == "succeeded"
        keys = [request.headers.get("Idempotency-Key") for request in receiver.received[:2]]
        assert keys[0]
        assert keys[0] == keys[1]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_asked_again_after_the_time_it_names(status: int) -> None:
    replies = [reply(BUSY, status, **{"Retry-After": "1"}), reply(JOB)]
    with receiving(lambda number, _: replies[number]) as receiver, client_of(receiver) as client:
        began = time.monotonic()
        assert client.job("0" * 20).output == "o"
        assert time.monotonic() - began >= 1


def test_what_it_refuses_is_not_asked_again() -> None:
    with (
        receiving(lambda *_: reply({**BUSY, "status": 422}, 422)) as receiver,
        client_of(receiver) as client,
        pytest.raises(ServiceError, match="full") as told,
    ):
        client.job("0" * 20)
    assert len(receiver.received) == 1
    assert (told.value.code, told.value.advice, told.value.status) == ("E_FULL", "wait", 422)


def test_a_retry_is_asked_for_again_with_its_key() -> None:
    replies = [Reply(0), reply(JOB, 201), reply(JOB)]
    with receiving(lambda number, _: replies[number]) as receiver, client_of(receiver) as client:
        client.retry("0" * 20)
        client.retry("0" * 20, key="own")
    keys = [request.headers.get("Idempotency-Key") for request in receiver.received]
    assert keys[0]
    assert keys == [keys[0], keys[0], "own"]


@pytest.mark.parametrize(
    ("wait", "status"), [("3600", 503), ("", 503), ("-1", 503), ("1e9", 503), ("", 0)]
)
def test_patience_ends(wait: str, status: int) -> None:
    with (
        receiving(lambda *_: reply(BUSY, status, **{"Retry-After": wait})) as receiver,
        client_of(receiver, patience=0.3) as client,
    ):
        began = time.monotonic()
        with pytest.raises(ServiceError) as told:
            client.job("0" * 20)
        assert told.value.may_pass
        assert told.value.status == status
        assert time.monotonic() - began < 5
        assert len(receiver.received) == 1 or wait != "3600"


def test_no_redirect_is_followed_and_no_token_goes_elsewhere() -> None:
    with (
        receiving() as elsewhere,
        receiving(lambda *_: Reply(307, headers={"Location": f"{elsewhere.url}/v1"})) as receiver,
        client_of(receiver) as client,
        pytest.raises(ServiceError, match="another address") as told,
    ):
        client.cohorts()
    assert told.value.code == "E_REDIRECT"
    assert not elsewhere.received
    assert receiver.received[0].headers["Authorization"] == "Bearer gpr_secret"


def test_no_proxy_hears_of_a_token_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving(lambda *_: reply(JOB)) as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with client_of(receiver) as client:
            client.job("0" * 20)
    assert not proxy.received


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://node7:8080", "read the token"),
        ("http://127.0.0.1.evil.org", "read the token"),
        ("https://me:pw@node7", "must not hold"),
        ("https://node7/?token=x", "must not hold"),
        ("node7:8080", "not the address"),
        ("ftp://node7", "not the address"),
    ],
)
def test_an_address_that_will_not_do_is_refused(url: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        gpuprep.Client(url, "gpr_secret")


def test_plain_http_goes_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gpuprep.Client("http://node7:8080", "gpr_secret", insecure=True).close()
    gpuprep.Client("http://node7:8080").close()  # nothing to read
    gpuprep.Client("http://localhost:8080", "gpr_secret").close()
    monkeypatch.setenv("GPUPREP_ALLOW_HTTP", "true")
    gpuprep.Client("http://node7:8080", "gpr_secret").close()


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPUPREP_URL", raising=False)
    with pytest.raises(UsageError, match="missing"):
        gpuprep.Client()
    with receiving(lambda *_: reply(JOB)) as receiver:
        monkeypatch.setenv("GPUPREP_URL", receiver.url + "/")
        monkeypatch.setenv("GPUPREP_TOKEN", "gpr_there")
        with gpuprep.Client() as client:
            assert client.job("0" * 20).state == "queued"
            assert client.url == receiver.url
            assert "gpr_there" not in repr(client)
    assert receiver.received[0].headers["Authorization"] == "Bearer gpr_there"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"id": "x"}'])
def test_what_is_no_service_is_told(body: bytes) -> None:
    with (
        receiving(lambda *_: Reply(200, body)) as receiver,
        client_of(receiver) as client,
        pytest.raises(ServiceError) as told,
    ):
        client.job("0" * 20)
    assert told.value.code == "E_ANSWER"


def test_a_newer_service_may_tell_more() -> None:
    tree = {**JOB, "colour": "red", "queue": {"position": 2, "mood": "good"}}
    with receiving(lambda *_: reply(tree)) as receiver, client_of(receiver) as client:
        assert client.job("0" * 20).queue.position == 2


def test_without_httpx_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['httpx'] = None\n"
        "import gpuprep\n"
        "try: gpuprep.Client('https://node7')\n"
        "except gpuprep.GpuprepError as error: print(error.advice)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "pip install 'gpuprep[service]'\n"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_events_are_read_as_the_standard_has_them(step: int) -> None:
    case = "a: b\u2028\x85 ü"
    text = (
        "retry: 2000\r\n\r\n: still here\n\n"
        f'id: 7\nevent: case.done\ndata: {{"event": "case.done", "time": "t", "case": "{case}"}}\n\n'
        "id: 9\nevent: torn\ndata: {"
    ).encode()
    blocks = [text[start : start + step] for start in range(0, len(text), step)]
    (event,) = parse_events(lines_of(blocks))
    assert (event.name, event.time, event.place) == ("case.done", "t", 7)
    assert event.more == {"case": case}


def test_a_stream_that_is_cut_goes_on_where_it_was() -> None:
    events = [
        b'id: %d\nevent: e%d\ndata: {"event": "e%d"}\n\n' % (place, place, place)
        for place in range(1, 6)
    ]

    def answer(_: int, request: Received) -> Reply:
        if not request.path.endswith("/events"):
            asked = sum(each.path.endswith("/events") for each in receiver.received)
            return reply({**JOB, "state": "succeeded" if asked > 2 else "running"})
        behind = int(request.headers["Last-Event-ID"])
        whole = b"".join(events[behind : behind + 2])
        return Reply(200, whole + b"id: 99\nevent: half", {"Content-Type": "text/event-stream"})

    with receiving(answer) as receiver, client_of(receiver) as client:
        names = [event.name for event in client.watch("0" * 20)]
    assert names[:5] == ["e1", "e2", "e3", "e4", "e5"]
    assert len(names) == 5


def test_following_gives_up_when_there_is_nothing_to_follow() -> None:
    with (
        receiving(lambda *_: reply({**JOB, "state": "running"})) as receiver,
        client_of(receiver, patience=0.2) as client,
        pytest.raises(ServiceError, match="ends its streams"),
    ):
        list(client.watch("0" * 20))
    with client_of(receiver, patience=0.2) as client, pytest.raises(ServiceError, match="reached"):
        client.wait("0" * 20)
