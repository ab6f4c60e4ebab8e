"""The operators' pages of firmware and uploads."""

from typing import Any

import pytest

from chargers import campaigns
from chargers.models import FirmwareCampaign, FirmwareUpdate, LogUpload
from sessions.sweeping import sweep
from tests.chargers.test_firmware import (
    LOCATION,
    ask,
    ask_log,
    fleet,
    make_campaign,
    make_update,
    say,
    tell,
)
from tests.factories import make_charger, make_online_charger, unique
from tests.operators import (
    act,
    assert_no_query_per_row,
    confirm,
    list_of,
    messages_of,
    operator,
    page_of,
    staff,
    text_of,
    walk_through,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [FirmwareCampaign, FirmwareUpdate, LogUpload])
def test_orders_and_filters_of_the_pages_work(model: Any) -> None:
    update = say(make_campaign_update(), "Downloading")
    make_campaign(update.charger, make_charger())
    tell(ask_log(update.charger), "Uploading")
    walk_through(operator(), model)
    assert operator().get(page_of(model.objects.first())).status_code == 200


def make_campaign_update() -> FirmwareUpdate:
    campaign = make_campaign(*fleet(1))
    campaigns.sweep()
    return campaign.updates.get()


def test_lists_take_no_query_per_row() -> None:
    client, campaign = operator(), make_campaign()
    page = {"campaign": campaign.pk}
    assert_no_query_per_row(
        client, FirmwareUpdate, lambda: campaigns.choose(campaign, fleet(1)), f"campaign={page['campaign']}"
    )
    name = unique("Many")
    assert_no_query_per_row(
        client, FirmwareCampaign, lambda: make_campaign(*fleet(1), name=name), f"q={name}"
    )
    charger = make_online_charger()
    assert_no_query_per_row(client, LogUpload, lambda: ask_log(charger), f"charger={charger.pk}")


def test_page_says_what_a_charger_waits_for() -> None:
    away, charging, installing, free = make_charger(), *fleet(3)
    charging.connectors.filter(number=1).update(status="Charging")
    ask(installing)
    campaign = make_campaign(away, charging, installing, free)
    text = text_of(operator().get(f"{list_of(FirmwareUpdate)}?campaign={campaign.pk}"))
    for words in ("is connected", "nobody is charging", "another update to end", "Waits for its turn"):
        assert text.count(words) == 1
    campaigns.stop(campaign)
    text = text_of(operator().get(f"{list_of(FirmwareUpdate)}?campaign={campaign.pk}"))
    assert text.count("Waits for the campaign to go on") == 4


def save_campaign(**fields: Any) -> Any:
    form = {"name": unique("To "), "location": LOCATION, "at_once": 5, **fields}
    return operator().post(f"{list_of(FirmwareCampaign)}add/", form)


def test_campaign_stands_still_until_it_is_started() -> None:
    one, two = fleet(2)
    name = unique("To ")
    assert save_campaign(name=name, chargers=[one.pk]).status_code == 302
    campaign = FirmwareCampaign.objects.get(name=name)
    assert campaign.stopped_at
    confirm(operator(), "put_into_campaign", one, two, campaign=campaign.pk)
    sweep()
    assert campaigns.progress(campaign)["waiting"] == 2
    assert "goes on" in messages_of(act(operator(), "start", campaign))[0]
    sweep()
    assert campaigns.progress(campaign)["requested"] == 2
    form = {"name": name, "at_once": 1, "location": "https://elsewhere.example/", "chargers": []}
    operator().post(page_of(campaign), form)
    campaign.refresh_from_db()
    assert (campaign.at_once, campaign.location) == (1, LOCATION)
    assert not campaign.stopped_at
    act(operator(), "stop", campaign)
    campaign.refresh_from_db()
    assert campaign.stopped_at
    say(campaign.updates.get(charger=one), "DownloadFailed")
    act(operator(), "retry_failed", campaign)
    assert campaigns.progress(campaign)["waiting"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"at_once": 0},
        {"location": "nowhere"},
        {"signing_certificate": "PEM"},
        {"signature": "c2ln"},
        {"install_at_0": "2026-03-01", "install_at_1": "12:00"},
    ],
)
def test_campaign_that_makes_no_sense_is_not_saved(fields: dict[str, Any]) -> None:
    before = FirmwareCampaign.objects.count()
    assert "errorlist" in text_of(save_campaign(**fields))
    assert FirmwareCampaign.objects.count() == before


def test_update_is_given_up_on_the_page_after_a_warning() -> None:
    update = make_update()
    assert "may install it" in text_of(act(operator(), "give_up", update))
    update.refresh_from_db()
    assert update.state == "requested"
    confirm(operator(), "give_up", update)
    update.refresh_from_db()
    assert update.state == "cancelled"


def test_staff_who_may_only_look_cannot_begin_anything() -> None:
    update = make_campaign_update()
    client = staff("chargers.view_firmwarecampaign", "chargers.view_firmwareupdate", "chargers.view_charger")
    assert update.campaign
    text = text_of(client.get(page_of(update.campaign)))
    assert update.campaign.name in text
    assert "<button" not in text.partition("ev-menu")[2]
    act(client, "stop", update.campaign)
    confirm(client, "give_up", update)
    update.refresh_from_db()
    update.campaign.refresh_from_db()
    assert (update.state, update.campaign.stopped_at) == ("requested", None)
    assert client.get(f"{list_of(FirmwareCampaign)}add/").status_code == 403
