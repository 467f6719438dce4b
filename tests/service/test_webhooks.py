"""Ends of jobs told to a receiver on loopback: signed, tried again, once more after a restart."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.cohorts import write_pair
from support.receiver import Received, Receiver, Reply, receiving
from support.runs import wait_until
from support.serving import serving

from gpuprep.client.received import read_webhook
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import Asked, Job, new_id
from gpuprep.service.jobs.signing import load_key
from gpuprep.service.jobs.webhooks import WEBHOOK_FILE, Webhooks
from gpuprep.service.settings import Webhooks as Settings
from gpuprep.service.settings import load_settings
from gpuprep.values.errors import ConfigError, ServiceError

LOOPBACK = Settings(hosts=("127.0.0.1",), tries=4)


class Desk:
    """One job that ended, and the webhooks of its service."""

    def __init__(self, folder: Path, url: str, settings: Settings = LOOPBACK) -> None:
        asked = Asked("data", "in", "cohort", webhook=url)
        self.job = Job(new_id(), "a", asked, time.time())
        (folder / "jobs").mkdir(exist_ok=True, parents=True)
        self.folder = JobFolder.make(folder / "jobs", self.job)
        self.root, self.settings = folder, settings

    def hooks(self) -> Webhooks:
        return Webhooks(self.root, self.settings, self, first_wait=0.001)

    def find(self, _: str) -> Job:
        return self.job

    def waiting(self) -> list[Job]:
        return [self.job] if self.job.state == "queued" else []

    def working(self) -> list[Job]:
        return []

    def end(self, hooks: Webhooks, state="succeeded") -> None:
        hooks.listen(self.job)
        self.job = replace(self.job, state=state, ended=time.time(), reason="of /a/path")
        hooks.listen(self.job)

    @property
    def is_told(self) -> bool:
        return not (self.folder.path / WEBHOOK_FILE).exists()

    def events(self) -> list[dict]:
        lines = (self.folder.path / "events.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


async def settled(hooks: Webhooks) -> None:
    while hooks._noting or hooks._telling:
        await asyncio.sleep(0.005)
    await hooks.close()


def tell(desk: Desk) -> None:
    async def work() -> None:
        hooks = desk.hooks()
        desk.end(hooks)
        await settled(hooks)

    asyncio.run(work())


def test_an_end_is_told_signed_and_without_what_is_nobodys_business(tmp_path) -> None:
    with receiving() as receiver:
        desk = Desk(tmp_path, f"{receiver.url}/hook?a=1")
        tell(desk)
    (request,) = receiver.received
    assert (request.method, request.path) == ("POST", "/hook?a=1")
    tree = json.loads(request.body)
    assert (tree["type"], tree["data"]["cohort"]) == ("job.succeeded", "cohort")
    assert b"/a/path" not in request.body
    key = (tmp_path / "webhooks.key").read_text()
    assert (tmp_path / "webhooks.key").stat().st_mode & 0o077 == 0
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    secret = base64.b64decode(key.strip().removeprefix("whsec_"))
    told = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{told}"
    assert read_webhook(headers, request.body, key).id == desk.job.id
    assert desk.is_told
    assert desk.events()[-1]["event"] == "webhook.told"


def test_a_receiver_believes_neither_another_body_nor_an_old_message(tmp_path, monkeypatch) -> None:
    with receiving() as receiver:
        tell(Desk(tmp_path, receiver.url))
    (request,) = receiver.received
    key = (tmp_path / "webhooks.key").read_text()
    for changed in ({"webhook-id": "x"}, {"webhook-timestamp": "1"}, {"webhook-signature": ""}):
        with pytest.raises(ServiceError, match="signature"):
            read_webhook({**request.headers, **changed}, request.body, key)
    with pytest.raises(ServiceError, match="signature"):
        read_webhook(request.headers, request.body.replace(b"succeeded", b"cancelled"), key)
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(ServiceError, match="300 s"):
        read_webhook(request.headers, request.body, key)


def test_a_receiver_in_trouble_is_told_again_with_the_same_id(tmp_path) -> None:
    replies = [Reply(500), Reply(0), Reply(302, headers={"Location": "/elsewhere"}), Reply(204)]
    with receiving(lambda number, _: replies[number]) as receiver:
        desk = Desk(tmp_path, receiver.url)
        tell(desk)
    assert [request.path for request in receiver.received] == ["/"] * 4
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert desk.is_told
    assert desk.events()[-1]["tries"] == 4


@pytest.mark.parametrize(("status", "tries"), [(500, 4), (410, 1)])
def test_it_is_given_up_in_the_end_and_said_so(tmp_path, status, tries) -> None:
    with receiving(lambda *_: Reply(status)) as receiver:
        desk = Desk(tmp_path, receiver.url)
        tell(desk)
    assert len(receiver.received) == tries
    assert desk.is_told
    last = desk.events()[-1]
    assert (last["event"], last["reason"]) == ("webhook.given_up", str(status))


def test_what_a_life_did_not_tell_the_next_one_does(tmp_path) -> None:
    with receiving(lambda number, _: Reply(200 if number > 1 else 503)) as receiver:
        desk = Desk(tmp_path, receiver.url)

        async def first() -> None:
            hooks = desk.hooks()
            desk.end(hooks)
            while not receiver.received:
                await asyncio.sleep(0.002)
            await hooks.close()

        async def second() -> None:
            hooks = desk.hooks()
            await hooks.recover()
            await settled(hooks)

        asyncio.run(first())
        assert not desk.is_told
        asyncio.run(second())
    assert desk.is_told
    assert len(receiver.received) == 3


def test_a_life_that_died_before_it_noted_a_job_loses_nothing(tmp_path) -> None:
    with receiving() as receiver:
        desk = Desk(tmp_path, receiver.url)

        async def begin() -> None:
            hooks = desk.hooks()
            await hooks.recover()
            await settled(hooks)

        asyncio.run(begin())
        assert not desk.is_told
        desk.job = replace(desk.job, state="failed", ended=time.time())  # and nobody listened
        asyncio.run(begin())
    assert desk.is_told
    assert len(receiver.received) == 1


def test_a_job_that_goes_on_is_told_at_its_next_end(tmp_path) -> None:
    with receiving() as receiver:
        desk = Desk(tmp_path, receiver.url)

        async def work() -> None:
            hooks = desk.hooks()
            desk.end(hooks, "cancelled")
            desk.job = replace(desk.job, state="queued", ended=0.0)  # before anything was sent
            hooks.listen(desk.job)
            await settled(hooks)
            assert not desk.is_told
            desk.end(hooks := desk.hooks())
            await settled(hooks)

        asyncio.run(work())
    (request,) = receiver.received
    assert json.loads(request.body)["type"] == "job.succeeded"


def test_the_key_may_be_one_of_the_operators(tmp_path) -> None:
    settings = "webhooks: {hosts: [a.org], secret_file: keys/hook}"
    (tmp_path / "service.yaml").write_text(settings)
    with pytest.raises(ConfigError, match="keys/hook"):
        load_settings(tmp_path)
    (tmp_path / "keys").mkdir()
    for text, wrong in (("whsec_AAAA", "3 bytes"), ("whsec_?", "cannot be read")):
        (tmp_path / "keys/hook").write_text(text)
        with pytest.raises(ConfigError, match=wrong):
            load_settings(tmp_path)
    (tmp_path / "keys/hook").write_text(f"whsec_{base64.b64encode(bytes(range(32))).decode()}\n")
    file = load_settings(tmp_path).webhooks.secret_file
    assert load_key(tmp_path, file) == bytes(range(32))
    assert not (tmp_path / "webhooks.key").exists()


def test_a_service_tells_and_still_does_after_a_restart(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    write_pair(tmp_path / "in", 0)
    settings = {"webhooks": {"hosts": ["127.0.0.1"]}}
    up = False

    def answer(_: int, request: Received) -> Reply:
        return Reply(200 if up else 503)

    def told(receiver: Receiver, job_id: str) -> bool:
        return any(job_id.encode() in request.body for request in receiver.received)

    with receiving(answer) as receiver:
        with serving(tmp_path / "srv", tmp_path / "in", settings) as served:
            job = served.submit(output="one", webhook=f"{receiver.url}/hook")
            wait_until(lambda: told(receiver, job["id"]), "the first try")
            served.process.kill()
        receiver.received.clear()
        up = True
        with serving(tmp_path / "srv", tmp_path / "in", settings) as served:
            wait_until(lambda: told(receiver, job["id"]), "a try of the next life")
            marked = tmp_path / "srv/jobs" / job["id"] / WEBHOOK_FILE
            wait_until(lambda: not marked.exists(), "nothing is left to tell")
        assert json.loads(receiver.received[0].body)["data"]["state"] == "succeeded"
