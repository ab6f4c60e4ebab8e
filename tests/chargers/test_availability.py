"""What connectors add up to."""

import pytest

from chargers import queries
from chargers.availability import availability, listed_station, status_update
from tests.factories import make_charger, make_online_charger, make_station

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("statuses", "word", "display", "counts"),
    [
        (["Available", "Available"], "available", "2/2", (2, 0, 0)),
        (["Available", "Charging"], "available", "1/2", (1, 1, 0)),
        (["Preparing", "Finishing"], "in_use", "0/2", (0, 2, 0)),
        (["Faulted", "SuspendedEV"], "in_use", "0/2", (0, 1, 1)),
        (["Faulted", "Unavailable"], "unavailable", None, (0, 0, 2)),
        (["", ""], "unavailable", None, (0, 0, 2)),
        ([], "unavailable", None, (0, 0, 0)),
    ],
)
def test_a_charger_is_as_free_as_its_connectors(
    statuses: list[str], word: str, display: str | None, counts: tuple[int, int, int]
) -> None:
    charger = make_online_charger(connectors=len(statuses))
    for connector, status in zip(charger.connectors.all(), statuses, strict=True):
        connector.status = status
        connector.save()
    data = availability(charger)
    assert (data.station_status, data.display) == (word, display)
    assert (data.available_connectors, data.connectors_in_use, data.connectors_unavailable) == counts


@pytest.mark.parametrize("out", ["offline", "maintenance", "pending", "faulted"])
def test_an_unusable_charger_has_no_free_connector(out: str) -> None:
    station = make_station(is_under_maintenance=out == "maintenance", maintenance_reason="new cables")
    make = make_charger if out == "offline" else make_online_charger
    charger = make(station=station, registration="Pending" if out == "pending" else "Accepted")
    if out == "faulted":
        charger.status = "Faulted"
        charger.save()
    update = status_update(charger)
    assert (update.status, update.data.display) == ("unavailable", None)
    assert update.data.is_under_maintenance is (out == "maintenance")
    # What a connector said stays told while its charger is there.
    assert update.data.connector_status[0].status == ("Offline" if out == "offline" else "Available")


def test_a_station_adds_up_its_chargers() -> None:
    station = make_station(latitude=52.0, longitude=5.0, address="1 Square")
    chargers = [make_online_charger(station=station), make_online_charger(station=station, status="Charging")]
    listed = listed_station(station, chargers)
    assert (listed.display, listed.total_connectors, listed.available_connectors) == ("2/4", 4, 2)
    assert listed.location is not None
    assert listed.location.address == "1 Square"


def test_the_list_is_paged_and_sieved() -> None:
    near = make_station(latitude=52.1, longitude=5.1)
    far = make_station(latitude=52.1, longitude=9.0)
    here = [
        make_online_charger(station=near, status=s).identity for s in ("Available", "Charging", "Available")
    ]
    make_online_charger(station=far)
    make_online_charger(station=None)
    make_online_charger(station=near, registration="Pending")

    def page(**wish: object) -> tuple[list[str], str | None]:
        chargers, cursor = queries.page(near=(52.1, 5.1, 20), **wish)  # type: ignore[arg-type]
        return [charger.identity for charger in chargers], cursor

    assert page() == (sorted(here), None)
    first, cursor = page(limit=2)
    assert cursor is not None
    assert first + page(limit=2, after=cursor)[0] == sorted(here)
    assert page(status="in_use")[0] == [here[1]]


def test_distance_is_along_the_globe() -> None:
    paris_london = queries.distance_km(48.8566, 2.3522, 51.5074, -0.1278)
    assert paris_london == pytest.approx(343.5, abs=1)
    assert queries.distance_km(0, 179.9, 0, -179.9) == pytest.approx(22.2, abs=0.1)
