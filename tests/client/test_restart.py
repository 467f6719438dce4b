"""A job is followed over the end of the service and its next life."""

import threading

from support.runs import wait_until
from support.serving import serving

import gpuprep


def test_watching_survives_a_restart_of_the_service(tmp_path, sources) -> None:
    folder = tmp_path / "srv"
    seen: list[str] = []
    with serving(folder, sources / "good") as first:
        port = first.url.rpartition(":")[2]
        job = first.submit(output="long", executor="local", workers=1)
        client = gpuprep.Client(first.url, first.tokens["submit"], patience=60)

        def follow() -> None:
            seen.extend(event.name for event in client.watch(job["id"]))

        thread = threading.Thread(target=follow)
        thread.start()
        wait_until(lambda: seen or first.job(job["id"])["state"] != "queued", "it has begun")
        first.process.kill()
    with serving(folder, sources / "good", port=int(port)):
        thread.join(60)
        assert client.wait(job["id"], timeout=30).state == "succeeded"
    client.close()
    assert seen[0] == "job.queued"
    assert seen[-1] == "job.succeeded"
    assert seen.count("case.done") == 3
