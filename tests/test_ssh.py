"""SSH clusters, over an SSH server that runs in this process and executes on this machine."""

import asyncio
import threading
from pathlib import Path

import pytest

import gpuprep
from gpuprep.config_cluster import Cluster, Ssh
from gpuprep.errors import UsageError
from gpuprep.executors.ssh import SshHosts, connect_options

asyncssh = pytest.importorskip("asyncssh", reason="pip install 'gpuprep[ssh]'")


class Server:
    """Lets in whoever holds the user key; ``commands`` are those it was asked to run."""

    def __init__(self, folder: Path) -> None:
        host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        user.write_private_key(str(folder / "user"))
        user.write_public_key(str(folder / "user.pub"))
        self._host = host
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.commands: list[str] = []
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._listener.get_port()
        public = host.export_public_key().decode()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    async def _listen(self):
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._host],
            authorized_client_keys=str(self._folder / "user.pub"),
            process_factory=self._execute,
        )

    async def _execute(self, asked) -> None:
        self.commands.append(asked.command)
        child = await asyncio.create_subprocess_shell(
            asked.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await asked.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        try:
            asked.exit(await child.wait())
        except (asyncio.CancelledError, OSError):
            child.kill()

    async def _end(self) -> None:
        self._listener.close()
        await self._listener.wait_closed()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


@pytest.fixture
def spec(server, tmp_path) -> Cluster:
    ssh = Ssh(
        hosts=("127.0.0.1", "127.0.0.1"),
        port=server.port,
        key=str(tmp_path / "user"),
        known_hosts=str(tmp_path / "known_hosts"),
    )
    return Cluster(kind="ssh", memory="1GiB", ssh=ssh)


def test_a_run_on_hosts(server, spec, cohort_folder, tmp_path):
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=gpuprep.Config(cluster=spec))
    assert report.exit_code == 0
    assert report.finished.done == 4
    started = [command for command in server.commands if "dask_spec" in command]
    assert len(started) == 3, "a scheduler and two workers"
    assert not (tmp_path / "out/.cluster").exists(), "keys outlive the run"


def test_a_host_that_is_not_known_is_refused(spec, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    with pytest.raises(UsageError, match="did not start"):
        SshHosts(spec, 300.0, tmp_path / "scratch").open()
    assert not (tmp_path / "scratch").exists()


def test_what_is_not_given_is_left_to_ssh():
    assert connect_options(Ssh(hosts=("a",))) == {"port": 22}
