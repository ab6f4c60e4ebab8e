"""The configuration keys of a simulated charger: what may be read, what changed, and to which values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.ocpp.simulated_outlet import MEASURANDS

Check = Callable[[str], bool]


def is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def is_flag(text: str) -> bool:
    return text.lower() in ("true", "false")


def is_name(text: str) -> bool:
    return len(text) <= 500


def is_measurands(text: str) -> bool:
    """An empty list switches values off (OCPP 1.6 §3.16.5); an unknown measurand spoils it (§3.16.4)."""
    return all(item in MEASURANDS for item in listed(text))


def listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


@dataclass(frozen=True)
class Key:
    """One configuration key; a key without a check is read-only."""

    value: str
    check: Check | None = None
    reboot: bool = False


SAMPLED = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,SoC"

PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"

KEYS: dict[str, Key] = {
    "AllowOfflineTxForUnknownId": Key("true", is_flag),
    "AuthorizationCacheEnabled": Key("true", is_flag),
    "AuthorizeRemoteTxRequests": Key("false", is_flag),
    "ClockAlignedDataInterval": Key("0"),
    "ConnectionTimeOut": Key("60", is_count),
    "CertificateSignedMaxChainSize": Key("10000"),
    "CertificateStoreMaxLength": Key("10"),
    "ChargeProfileMaxStackLevel": Key("9"),
    "ChargingScheduleAllowedChargingRateUnit": Key("Current,Power"),
    "ChargingScheduleMaxPeriods": Key("24"),
    "ConnectorPhaseRotation": Key("0.Unknown"),
    "CpoName": Key("", is_name),
    "GetConfigurationMaxKeys": Key("100"),
    "HeartbeatInterval": Key("300", is_count),
    "LocalAuthListEnabled": Key("true", is_flag),
    "LocalAuthListMaxLength": Key("500"),
    "LocalAuthorizeOffline": Key("true", is_flag),
    "LocalPreAuthorize": Key("false", is_flag),
    "MaxChargingProfilesInstalled": Key("20"),
    "MeterValuesAlignedData": Key(""),
    "MeterValuesSampledData": Key(SAMPLED, is_measurands),
    "MeterValueSampleInterval": Key("60", is_count),
    "NumberOfConnectors": Key("1"),
    "ReserveConnectorZeroSupported": Key("false"),
    "ResetRetries": Key("0"),
    "SendLocalListMaxLength": Key("500"),
    "StopTransactionMaxMeterValues": Key("2"),
    "StopTransactionOnEVSideDisconnect": Key("true", is_flag),
    "StopTransactionOnInvalidId": Key("true", is_flag),
    "StopTxnAlignedData": Key(""),
    "StopTxnSampledData": Key("Energy.Active.Import.Register,SoC", is_measurands),
    "SupportedFeatureProfiles": Key(PROFILES),
    "TransactionMessageAttempts": Key("3", is_count),
    "TransactionMessageRetryInterval": Key("10", is_count),
    "UnlockConnectorOnEVSideDisconnect": Key("true"),
    "WebSocketPingInterval": Key("20", is_count, reboot=True),
}
"""Every required key of OCPP 1.6 §9 and the optional ones that mean something here."""


class Settings:
    """The keys with their values. Key names are case-insensitive on the wire (CiString50Type)."""

    def __init__(self, **values: str) -> None:
        self._values = {name: key.value for name, key in KEYS.items()} | values
        self._names = {name.casefold(): name for name in KEYS}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._values[name] = value

    def seconds(self, name: str) -> float:
        return float(self._values[name])

    def flag(self, name: str) -> bool:
        return self._values[name].lower() == "true"

    def items(self, name: str) -> list[str]:
        return listed(self._values[name])

    def name(self, spelled: str) -> str | None:
        """The key as we spell it, or None if there is no such key."""
        return self._names.get(spelled.casefold())

    def change(self, spelled: str, value: str) -> str:
        """Set a key and return the status of the answer (§5.3)."""
        name = self.name(spelled)
        if name is None:
            return "NotSupported"
        key = KEYS[name]
        if key.check is None or not key.check(value):
            return "Rejected"
        self._values[name] = value
        return "RebootRequired" if key.reboot else "Accepted"

    def read(self, wanted: Iterable[str]) -> tuple[list[dict[str, str | bool]], list[str]]:
        """Known keys as GetConfiguration reports them, and the unknown ones; all if none is wanted (§5.8)."""
        spelled = list(wanted)
        names = [self.name(each) for each in spelled] if spelled else list(KEYS)
        known = [self._reported(name) for name in names if name is not None]
        return known, [each for each in spelled if self.name(each) is None]

    def _reported(self, name: str) -> dict[str, str | bool]:
        return {"key": name, "readonly": KEYS[name].check is None, "value": self._values[name]}
