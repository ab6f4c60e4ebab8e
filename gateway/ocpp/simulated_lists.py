"""The local authorization list of a simulated charger, and its answers about it (OCPP 1.6 §3.5.2, §5.10, §5.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.ocpp.simulated_line import Answer, Payload
from gateway.ocpp.simulated_operations import Operation, choice, status

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger

TagInfo = dict[str, Any]
"""An idTagInfo: status, perhaps expiryDate and parentIdTag."""


class LocalList:
    """Tags the central system sent, known by heart; they differ by more than case."""

    def __init__(self, most: int) -> None:
        self.version = 0
        self._most = most
        self._entries: dict[str, TagInfo] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def info(self, id_tag: str) -> TagInfo | None:
        return self._entries.get(id_tag.casefold())

    def update(self, version: int, entries: list[dict[str, Any]], *, full: bool) -> str:
        """Take a list whole or not at all; the status of the answer."""
        if not full and version <= self.version:
            return "VersionMismatch"
        taken = {} if full else dict(self._entries)
        for entry in entries:
            tag, info = entry["idTag"].casefold(), entry.get("idTagInfo")
            if info is not None:
                taken[tag] = info
            elif full:
                return "Failed"  # nothing to remove from a list that begins anew
            else:
                taken.pop(tag, None)
        if version < 1 or len(taken) > self._most:
            return "Failed"
        self.version, self._entries = version, taken
        return "Accepted"


def send_local_list(charger: SimulatedCharger, payload: Payload) -> Answer:
    kind = choice(payload["updateType"], ("Full", "Differential"))
    if not charger.settings.flag("LocalAuthListEnabled"):
        return status("NotSupported")
    entries = payload.get("localAuthorizationList", [])
    if len(entries) > int(charger.settings["SendLocalListMaxLength"]):
        return status("Failed")
    return status(charger.tags.local.update(payload["listVersion"], entries, full=kind == "Full"))


def get_local_list_version(charger: SimulatedCharger, payload: Payload) -> Answer:
    """−1 says that there are no local lists here (§5.10)."""
    enabled = charger.settings.flag("LocalAuthListEnabled")
    return Answer({"listVersion": charger.tags.local.version if enabled else -1})


OPERATIONS = {
    "GetLocalListVersion": Operation(get_local_list_version),
    "SendLocalList": Operation(
        send_local_list, {"listVersion": int, "updateType": str}, {"localAuthorizationList": list}
    ),
}
