"""Whether somebody could charge at a connector now, as far as the charger and its place say."""

from chargers import availability
from chargers.errors import ChargerOffline, ChargerPending, ConnectorBusy, ConnectorUnavailable
from chargers.models import Charger, Connector, ConnectorStatus
from chargers.words import Words

BUSY = {ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE}
CLOSED = {ConnectorStatus.UNAVAILABLE: Words("unavailable"), ConnectorStatus.FAULTED: Words("faulted")}


def check_charger(charger: Charger) -> None:
    """Raises ChargerPending, ChargerOffline, ConnectorUnavailable."""
    if charger.registration != Charger.Registration.ACCEPTED:
        raise ChargerPending
    if not charger.is_connected:
        raise ChargerOffline(Words("%(charger)s is not connected", charger=charger.identity))
    if not availability.is_usable(charger):
        station = charger.station
        reason = station.maintenance_reason if station and station.is_under_maintenance else ""
        sentence = Words("%(charger)s is out of service", charger=charger.identity)
        raise ConnectorUnavailable(sentence, detail=reason)


def check_ready(charger: Charger, connector: Connector) -> None:
    """As `check_charger`; and ConnectorUnavailable or ConnectorBusy of the connector."""
    check_charger(charger)
    if connector.status in CLOSED:
        values = {"connector": connector.number, "status": CLOSED[ConnectorStatus(connector.status)]}
        raise ConnectorUnavailable(Words("Connector %(connector)s is %(status)s", **values))
    if connector.status in BUSY:
        values = {"connector": connector.number, "charger": charger.identity}
        raise ConnectorBusy(Words("Connector %(connector)s of %(charger)s is in use", **values))
