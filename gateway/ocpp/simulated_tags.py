"""The tag reader of a simulated charger: whom it lets charge, by asking, by its cache, or by its settings."""

from datetime import UTC, datetime
from typing import Any

from gateway.ocpp.simulated_line import CallFailed, ConnectionLost
from gateway.ocpp.simulated_settings import Settings
from gateway.ocpp.simulated_uplink import ACCEPTED, Uplink

TagInfo = dict[str, Any]
"""An idTagInfo: status, perhaps expiryDate and parentIdTag."""


class Tags:
    """With the authorization cache of OCPP 1.6 §3.5.1, where tags that differ only by case are the same."""

    def __init__(self, settings: Settings, uplink: Uplink) -> None:
        self._settings = settings
        self._uplink = uplink
        self._infos: dict[str, TagInfo] = {}

    async def authorized(self, id_tag: str) -> bool:
        """Whether the tag may charge; a charger that is not accepted itself charges no one (§4.2.1)."""
        if self._uplink.registration != ACCEPTED:
            return False
        if not self._uplink.online:
            return self._authorized_offline(id_tag)
        if self._settings.flag("LocalPreAuthorize") and self._known_as_accepted(id_tag):
            return True
        try:
            answer = await self._uplink.call("Authorize", {"idTag": id_tag})
        except ConnectionLost:
            return self._authorized_offline(id_tag)
        except CallFailed:
            return False
        return self.remember(id_tag, answer).get("status") == ACCEPTED

    def remember(self, id_tag: str, answer: dict[str, Any]) -> TagInfo:
        """Take the idTagInfo out of an answer and return it; empty if there is none."""
        info = answer.get("idTagInfo")
        if not isinstance(info, dict):
            return {}
        if self._settings.flag("AuthorizationCacheEnabled"):
            self._infos[id_tag.casefold()] = info
        return info

    def parent(self, id_tag: str) -> str | None:
        return self._infos.get(id_tag.casefold(), {}).get("parentIdTag")

    def forget(self) -> None:
        self._infos.clear()

    def _authorized_offline(self, id_tag: str) -> bool:
        """By what is known of the tag, and of an unknown one by the settings (§3.5.4)."""
        if id_tag.casefold() in self._infos:
            return self._settings.flag("LocalAuthorizeOffline") and self._known_as_accepted(id_tag)
        return self._settings.flag("AllowOfflineTxForUnknownId")

    def _known_as_accepted(self, id_tag: str) -> bool:
        info = self._infos.get(id_tag.casefold(), {})
        return info.get("status") == ACCEPTED and not expired(info.get("expiryDate"))


def expired(expiry_date: object) -> bool:
    if not isinstance(expiry_date, str):
        return False
    expires_at = datetime.fromisoformat(expiry_date)
    return expires_at.replace(tzinfo=expires_at.tzinfo or UTC) <= datetime.now(UTC)
