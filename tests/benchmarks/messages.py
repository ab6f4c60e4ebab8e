"""What the load generator says; the placeholders are explained in wsload.c."""

import json
from typing import Any

NUMBER, SOCKET, TIME = "########", "~~~~~~", "yyyy-mm-ddThh:mm:ss.mmmZ"

# Ids of chargers and transactions by the number of their socket.
FIRST_TRANSACTION = 1_000_000
IDENTITY = "BENCH{:06d}"

ACTION_FAILED, CALL_FAILED = '"success":false', "[4,"
APP_READY = '"active_session_update"'  # the last of what an app is greeted with
OCPP = ("Sec-WebSocket-Protocol: ocpp1.6",)


def action(name: str, **data: Any) -> str:
    return _compact({"action": name, "data": data, "request_id": NUMBER})


def heartbeat() -> str:
    return _compact([2, NUMBER, "Heartbeat", {}])


def _sample(value: str, measurand: str, unit: str, phase: str | None = None) -> dict[str, str]:
    sample = {"value": value, "context": "Sample.Periodic", "format": "Raw", "measurand": measurand}
    return {**sample, **({"phase": phase} if phase else {}), "location": "Outlet", "unit": unit}


def meter_values() -> str:
    """A three-phase charger's periodic report. No two are alike: the database keeps a repeated one only once."""
    samples = [
        _sample(NUMBER, "Energy.Active.Import.Register", "Wh"),
        _sample("11040.5", "Power.Active.Import", "W"),
        *(_sample(f"16.{n}", "Current.Import", "A", f"L{n}") for n in (1, 2, 3)),
        *(_sample(f"23{n}.4", "Voltage", "V", f"L{n}-N") for n in (1, 2, 3)),
        _sample("11500.0", "Power.Offered", "W"),
        _sample("55", "SoC", "Percent"),
    ]
    payload = {
        "connectorId": 1,
        "transactionId": 0,
        "meterValue": [{"timestamp": TIME, "sampledValue": samples}],
    }
    transaction = str(FIRST_TRANSACTION)[: -len(SOCKET)] + SOCKET
    text = _compact([2, NUMBER, "MeterValues", payload])
    return text.replace('"transactionId":0', f'"transactionId":{transaction}')


def _compact(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))
