"""`csms serve` again and again, without waiting for its modules each time: every server is a fork of a loaded program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE

from tests.journeys.processes import READY_WITHIN, ServerProcess


class WarmServer(ServerProcess):
    """Killed and started again as any other; only that a start takes a tenth of the time."""

    program = (sys.executable, "-m", "tests.journeys.warm")
    _server = 0  # Its process id.

    async def start(self) -> None:
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self.program, env={**self.environment, **self.extra}, stdin=PIPE, stdout=PIPE, stderr=log,
                    cwd=self.directory,
                )  # fmt: skip
        self._process.stdin.write(b"\n")
        self._server = int(await self._line(b"Server: "))
        await self._line(b"Data:")

    async def kill(self) -> None:
        os.kill(self._server, signal.SIGKILL)
        await self._line(b"Ended: ")

    async def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._server, signal.SIGTERM)
        self._process.stdin.close()
        async with asyncio.timeout(READY_WITHIN):
            return await self._process.wait()

    async def _line(self, beginning: bytes) -> bytes:
        async with asyncio.timeout(READY_WITHIN):
            while True:
                line = await self._process.stdout.readline()
                assert line, f"the server ended: {self._log.read_text()[-2000:]}"
                if line.startswith(beginning):
                    return line.removeprefix(beginning)


def main() -> None:
    """A line on the standard input starts a server; its end is told. The last one's status is ours."""
    import csms.app
    import csms.storage.postgres_database  # noqa: F401
    from csms.__main__ import app

    status = 0
    for _ in sys.stdin:
        server = os.fork()
        if server == 0:
            app(["serve"])
        print(f"Server: {server}", flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(server, 0)[1])
        print(f"Ended: {status}", flush=True)
    sys.exit(abs(status))


if __name__ == "__main__":
    main()
