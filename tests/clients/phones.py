"""Both published clients behind one interface, and a line between them and the server that can be cut."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from evcharge_client import Api, EvCharge, EvChargeError, Login

from tests.server_process import ROOT

TIMEOUT_S = 15
NODE = ROOT / "node_modules" / ".bin" / "node"


class Failed(Exception):
    """What a client raised: its code, and the HTTP status of REST."""

    def __init__(self, code: str, status: int | None) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Phone:
    """A client and all it has heard. `do` performs what tests/clients/driver.mjs names the same."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    async def do(self, wish: str, **more: Any) -> Any:
        raise NotImplementedError

    async def act(self, action: str, timeout_s: float | None = None, **data: Any) -> Any:
        return await self.do("act", action=action, data=data, timeout_s=timeout_s)

    async def refused(self, wish: Awaitable[Any]) -> Failed:
        try:
            result = await wish
        except Failed as error:
            return error
        raise AssertionError(f"it was answered: {result}")

    def _hear(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        self._news.set()

    async def until(self, *, after: int = 0, **fields: Any) -> dict[str, Any]:
        """The first message with these values, come already or still to come, of those after so many."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                for message in self.heard[after:]:
                    if all(message.get(name) == value for name, value in fields.items()):
                        return message
                self._news.clear()
                await self._news.wait()


class NodePhone(Phone):
    """The TypeScript client in Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self.process = process
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            said = json.loads(line)
            if "event" in said:
                self._hear(said["event"])
            elif "failure" in said:
                failure = said["failure"]
                self._answers[said["id"]].set_exception(Failed(failure["code"], failure.get("status")))
            elif "id" in said:
                self._answers[said["id"]].set_result(said["result"])

    async def do(self, wish: str, **more: Any) -> Any:
        number = len(self._answers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"id": number, "wish": wish, **more}).encode() + b"\n")
        async with asyncio.timeout(TIMEOUT_S):
            return await answer


class PythonPhone(Phone):
    """The Python client, here."""

    ev: EvCharge
    login: Login | None = None

    async def do(self, wish: str, **more: Any) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await getattr(self, f"_{wish}")(**more)
        except EvChargeError as error:
            raise Failed(error.code, error.status) from error

    async def _login(self, url: str, username: str, password: str) -> None:
        self.login = await Login.with_password(url, username, password)
        self.api = Api(url, get_token=self.login.get_token)

    async def _open(self, url: str, **options: Any) -> None:
        await self._close()
        if self.login and "token" not in options:
            options["get_token"] = self.login.get_token
        self.ev = EvCharge(url, proxy=None, longest_wait_s=0.5, **options)
        self.ev.on("event", lambda message: self._hear(dict(message)))
        await self.ev.connect()

    async def _tokens(self, tokens: Any) -> None:
        assert self.login
        self.login.tokens = tokens

    async def _access(self) -> str:
        assert self.login and self.login.tokens
        return self.login.tokens["access"]

    async def _act(self, action: str, data: dict[str, Any], timeout_s: float | None) -> Any:
        return await self.ev.act(action, data, timeout_s=timeout_s)

    async def _sessions(self) -> Any:
        return await self.api.sessions()

    async def _receipt(self, session: int) -> list[Any]:
        receipt, pdf = await self.api.receipt(session), await self.api.receipt_pdf(session)
        return [receipt["session_id"], pdf[:4].decode()]

    async def _logout(self) -> None:
        assert self.login
        await self.login.log_out()

    async def _last_seq(self) -> int | None:
        return self.ev.last_seq

    async def _close(self) -> None:
        if hasattr(self, "ev"):
            await self.ev.close()


@asynccontextmanager
async def python_phone() -> AsyncIterator[Phone]:
    phone = PythonPhone()
    try:
        yield phone
    finally:
        await phone.do("close")


@asynccontextmanager
async def node_phone() -> AsyncIterator[Phone]:
    pipe = asyncio.subprocess.PIPE
    node = str(NODE) if NODE.exists() else shutil.which("node") or "node"
    driver = str(Path(__file__).with_name("driver.mjs"))
    process = await asyncio.create_subprocess_exec(
        node, driver, stdin=pipe, stdout=pipe, env={**os.environ, "NODE_NO_WARNINGS": "1"}, limit=2**20
    )
    phone = NodePhone(process)
    try:
        yield phone
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            phone._reader.cancel()
            if process.returncode is None:
                process.kill()


PHONES = {"python": python_phone, "typescript": node_phone}


class Tunnel:
    """A port in front of the server's: `cut` loses what is connected, and nobody gets through until `mend`."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.is_up = True
        self.lines: set[asyncio.StreamWriter] = set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_up:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.lines |= {writer, far_writer}
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self.lines -= {writer, far_writer}

    def cut(self) -> None:
        self.is_up = False
        for writer in self.lines:
            writer.transport.abort()

    def mend(self) -> None:
        self.is_up = True


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[tuple[Tunnel, str]]:
    """The tunnel, and the URL of its mouth."""
    made = Tunnel(port)
    server = await asyncio.start_server(made._carry, "127.0.0.1", 0)
    try:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        made.cut()
        server.close()
