"""An SSH server on loopback that executes commands on this machine: ``ssh_server.py FOLDER``.

On SIGUSR1 it cuts the link that was opened last, and ends what runs over it. It writes to the folder: the
key that it lets in (``user``), ``known_hosts``, ``port``, and each command that it was asked to run as a line
of ``commands``.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncssh


async def serve(folder: Path) -> None:
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    user.write_private_key(str(folder / "user"))
    user.write_public_key(str(folder / "user.pub"))

    links: list[asyncssh.SSHServerConnection] = []
    running: dict[subprocess.Popen[bytes], asyncssh.SSHServerConnection] = {}

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            links.append(conn)

    def cut() -> None:
        links[-1].abort()
        for child, link in running.items():
            if link is links[-1] and child.poll() is None:
                os.killpg(child.pid, signal.SIGHUP)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, cut)

    async def execute(asked: asyncssh.SSHServerProcess) -> None:
        with (folder / "commands").open("a") as log:
            log.write(f"{asked.command}\n")
        ends = (asked.get_extra_info(end)[:2] for end in ("peername", "sockname"))
        connection = " ".join(str(part) for end in ends for part in end)
        child = subprocess.Popen(
            asked.command,
            env={**os.environ, "SSH_CONNECTION": connection},
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        running[child] = asked.get_extra_info("connection")
        await asked.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        ended = asyncio.create_task(asyncio.to_thread(child.wait))
        closed = asyncio.create_task(asked.wait_closed())
        await asyncio.wait([ended, closed], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            asked.exit(ended.result())
        else:  # the client is gone: so is its command
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGHUP)
            await ended

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host],
        authorized_client_keys=str(folder / "user.pub"),
        process_factory=execute,
        server_factory=Server,
    )
    public = host.export_public_key().decode()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.get_port()} {public}")
    (folder / "port.partial").write_text(str(server.get_port()))
    (folder / "port.partial").rename(folder / "port")
    await server.wait_closed()


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, commands would outlive their link
    asyncio.run(serve(Path(sys.argv[1])))
