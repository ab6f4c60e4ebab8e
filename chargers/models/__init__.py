"""Which chargers exist, whether they can be reached, what we asked of them and what they told."""

from chargers.models.commands import OF_SESSIONS, WORDS, Command
from chargers.models.firmware import FirmwareCampaign, FirmwareUpdate, LogUpload
from chargers.models.security import Certificate, ConnectionRefusal, SecurityEvent
from chargers.models.stations import Charger, Connector, ConnectorStatus, SecurityProfile, Station
from chargers.models.wire import Breach, OcppCall, QuirkProfile

__all__ = [
    "OF_SESSIONS",
    "WORDS",
    "Breach",
    "Certificate",
    "Charger",
    "Command",
    "ConnectionRefusal",
    "Connector",
    "ConnectorStatus",
    "FirmwareCampaign",
    "FirmwareUpdate",
    "LogUpload",
    "OcppCall",
    "QuirkProfile",
    "SecurityEvent",
    "SecurityProfile",
    "Station",
]
