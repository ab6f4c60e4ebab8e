"""The central system that the documentation of the `ocpp` package shows, storing nothing."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


class Charger(ChargePoint):
    @on("Heartbeat")
    def heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on("MeterValues")
    def meter_values(self, **payload: Any) -> Any:
        return call_result.MeterValues()


async def connected(socket: ServerConnection) -> None:
    assert socket.request
    try:
        await Charger(socket.request.path.strip("/"), socket).start()
    except ConnectionClosed:
        return


async def main() -> None:
    logging.disable(logging.CRITICAL)
    async with serve(connected, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"listens on http://127.0.0.1:{port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
