"""Firmware campaigns: one firmware for many chargers, a few at a time.

A campaign is only rows: which chargers are still to be asked, and which are at it. The sweep asks the next ones as
others end, so it goes on wherever and whenever a process runs.
"""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from chargers import firmware, log_uploads
from chargers.errors import ChargerOffline, UpdateUnderWay
from chargers.events import utcnow
from chargers.models import Charger, Connector, ConnectorStatus, FirmwareCampaign, FirmwareUpdate

State = FirmwareUpdate.State

# A car takes energy, or may at any moment: its driver is not to be disturbed.
CHARGING = (ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE)
HAD_IT = "It had this version already"


def with_progress(campaigns: QuerySet[FirmwareCampaign]) -> QuerySet[FirmwareCampaign]:
    """Each campaign with how many of its chargers are in each state: `waiting_count`, `failed_count` …"""
    counts = {f"{state}_count": Count("updates", filter=Q(updates__state=state)) for state in State.values}
    return campaigns.annotate(total_count=Count("updates"), **counts)


def progress(campaign: FirmwareCampaign) -> dict[str, int]:
    """How many of its chargers are in each state."""
    counts = dict(campaign.updates.order_by().values_list("state").annotate(Count("pk")))
    return {state: counts.get(state, 0) for state in State.values}


# --- what operators decide ---


def choose(campaign: FirmwareCampaign, chargers: Iterable[Charger]) -> None:
    """Add chargers; those that are in it already stay as they are."""
    updates = [
        FirmwareUpdate(
            charger=charger,
            campaign=campaign,
            location=campaign.location,
            is_signed=bool(campaign.signing_certificate),
            previous_version=charger.firmware_version,
        )
        for charger in chargers
    ]
    FirmwareUpdate.objects.bulk_create(updates, ignore_conflicts=True)


def start(campaign: FirmwareCampaign) -> bool:
    """Begin, or go on. Whether it stood still."""
    return bool(
        FirmwareCampaign.objects.filter(pk=campaign.pk, stopped_at__isnull=False).update(stopped_at=None)
    )


def stop(campaign: FirmwareCampaign) -> bool:
    """Ask no further charger; those that are at it go on. Whether it was going."""
    return bool(FirmwareCampaign.objects.filter(pk=campaign.pk, stopped_at=None).update(stopped_at=utcnow()))


@transaction.atomic
def retry_failed(campaign: FirmwareCampaign, *, by: AbstractBaseUser) -> int:
    """Ask the chargers that failed, or were given up, once more; how many. Each gets a row, and so a request id,
    of its own: what the charger still says of the first attempt is not taken for the second."""
    ended = campaign.updates.filter(state__in=(State.FAILED, State.CANCELLED)).select_for_update(of=("self",))
    failed = list(ended.select_related("charger"))
    for update in failed:
        update.campaign = None
        update.detail = f"{update.detail} (tried again in “{campaign.name}” by {by.get_username()})"[:255]
        update.save(update_fields=["campaign", "detail"])
    choose(campaign, [update.charger for update in failed])
    return len(failed)


# --- what the sweep does ---


def sweep() -> int:
    """Ask whose turn it is, and mark what fell silent. How many chargers were asked."""
    firmware.note_silent()
    log_uploads.note_silent()
    going = FirmwareCampaign.objects.filter(stopped_at=None, updates__state=State.WAITING).distinct()
    return sum(_advance(pk) for pk in going.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _advance(campaign_id: int) -> int:
    """Another process that sweeps at this moment has the campaign, and does it."""
    campaigns = FirmwareCampaign.objects.select_for_update(skip_locked=True)
    campaign = campaigns.filter(pk=campaign_id, stopped_at=None).first()
    if campaign is None:
        return 0
    _skip_those_that_have_it(campaign)
    at_it = campaign.updates.filter(
        Q(state__in=firmware.UNDER_WAY) | Q(state=State.WAITING, command__isnull=False)
    )
    places = max(0, campaign.at_once - at_it.count())
    ready = askable(campaign.updates.all()).select_related("charger", "campaign__requested_by")
    return sum(_was_asked(update) for update in ready.order_by("pk")[:places])


def _skip_those_that_have_it(campaign: FirmwareCampaign) -> None:
    if campaign.version:
        # Not a join: PostgreSQL would not judge the update's state again after waiting for who asks it just now.
        have_it = Charger.objects.filter(firmware_version=campaign.version)
        campaign.updates.filter(state=State.WAITING, command=None, charger__in=have_it).update(
            state=State.INSTALLED,
            installed_version=campaign.version,
            detail=HAD_IT,
            finished_at=utcnow(),
        )


def askable(updates: QuerySet[FirmwareUpdate]) -> QuerySet[FirmwareUpdate]:
    """Of those that wait: connected, nobody charging, nothing else being installed."""
    busy = Connector.objects.filter(charger=OuterRef("charger"), status__in=CHARGING)
    other = FirmwareUpdate.objects.filter(charger=OuterRef("charger"), state__in=firmware.UNDER_WAY)
    waiting = updates.filter(state=State.WAITING, command=None).exclude(charger__channel_name="")
    return waiting.exclude(Exists(busy)).exclude(Exists(other))


def _was_asked(update: FirmwareUpdate) -> bool:
    try:
        with transaction.atomic():
            firmware.ask_for_campaign(update)
    except (ChargerOffline, UpdateUnderWay):  # since a moment ago; it waits on
        return False
    return True
