"""A server in this process, for what no door offers a test yet; sockets and database are real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from django.conf import settings

from gateway import draining
from gateway import server as serving


class Server(serving.Server):
    """uvicorn in a test: the signals stay pytest's."""

    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def server_here(**changed: Any) -> AsyncIterator[str]:
    """Where it listens (ws://…), with settings changed: `server_here(COMMAND_TIMEOUT_S=2)`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setattr(settings, name, value)
        listener = serving.listening_socket("127.0.0.1", 0)
        started = asyncio.Event()
        server = Server(serving.config(host="127.0.0.1", port=0), started.set)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task
        draining.reset()  # this process goes on
