"""The tag reader of a simulated charger: whom it lets charge, by asking, by its cache, or by its settings."""

from datetime import UTC, datetime
from typing import Any

from gateway.ocpp.simulated_line import CallFailed, ConnectionLost
from gateway.ocpp.simulated_lists import LocalList, TagInfo
from gateway.ocpp.simulated_settings import Settings
from gateway.ocpp.simulated_uplink import ACCEPTED, Uplink


class Tags:
    """With the authorization cache of OCPP 1.6 §3.5.1 and the local list of §3.5.2, which goes before it.

    Tags that differ only by case are the same.
    """

    def __init__(self, settings: Settings, uplink: Uplink) -> None:
        self._settings = settings
        self._uplink = uplink
        self._infos: dict[str, TagInfo] = {}
        self.local = LocalList(int(settings["LocalAuthListMaxLength"]))

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
        return (self._info(id_tag) or {}).get("parentIdTag")

    def forget(self) -> None:
        self._infos.clear()

    def _authorized_offline(self, id_tag: str) -> bool:
        """By what is known of the tag, and of an unknown one by the settings (§3.5.4)."""
        if self._info(id_tag) is not None:
            return self._settings.flag("LocalAuthorizeOffline") and self._known_as_accepted(id_tag)
        return self._settings.flag("AllowOfflineTxForUnknownId")

    def _info(self, id_tag: str) -> TagInfo | None:
        """What the list says of a tag, else the cache."""
        listed = self.local.info(id_tag) if self._settings.flag("LocalAuthListEnabled") else None
        return listed if listed is not None else self._infos.get(id_tag.casefold())

    def _known_as_accepted(self, id_tag: str) -> bool:
        info = self._info(id_tag) or {}
        return info.get("status") == ACCEPTED and not expired(info.get("expiryDate"))


def expired(expiry_date: object) -> bool:
    if not isinstance(expiry_date, str):
        return False
    expires_at = datetime.fromisoformat(expiry_date)
    return expires_at.replace(tzinfo=expires_at.tzinfo or UTC) <= datetime.now(UTC)
