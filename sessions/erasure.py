"""Deleting a driver's account. The person goes, the ledger stays: sessions point to a user who is only a number.

Each table says itself what becomes of it when its user goes (`on_delete`): what is the person's (CASCADE) is deleted,
what merely names them (SET_NULL) is parted from them, the ledger (PROTECT) is kept.
"""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from chargers.errors import ChargerOffline
from chargers.words import Words
from sessions import reservations
from sessions.errors import ActiveSessionExists, OperatorAccount
from sessions.models import ChargingSession, ErasedAccount, IdTag, Reservation


@transaction.atomic
def erase(*, user_id: int, erased_by: AbstractBaseUser) -> ErasedAccount:
    """Deactivate the account for good and forget who it was; its tokens and sockets end, its cards are blocked.

    Done before, it changes nothing. Raises ActiveSessionExists, OperatorAccount.
    """
    # Against starts: a session refers to its user's row, so it waits for this lock, or this for it.
    user = get_user_model().objects.select_for_update().get(pk=user_id)
    if erasure := ErasedAccount.objects.filter(user=user).first():
        return erasure
    if user.is_staff or user.is_superuser:
        raise OperatorAccount
    if ChargingSession.objects.filter(user=user, status__in=ChargingSession.OPEN).exists():
        raise ActiveSessionExists(Words("Your charging session must end first"))
    _cancel_reservations(user)
    IdTag.objects.filter(user=user).update(is_blocked=True, note="")
    _part_with(user)
    erasure = ErasedAccount.objects.create(user=user, erased_by_id=erased_by.pk)
    _forget_name(user, str(erasure))
    return erasure


def _cancel_reservations(user: Any) -> None:
    """A charger that is away keeps its connector until the reservation expires."""
    for reservation in Reservation.objects.filter(user=user, state__in=Reservation.OPEN):
        try:
            with transaction.atomic():
                reservations.cancel(reservation)
        except ChargerOffline:
            continue


def _part_with(user: Any) -> None:
    for relation in user._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ManyToOneRel):
            continue
        table: Any = relation.related_model
        rows = table._base_manager.filter(**{relation.field.name: user})
        if relation.on_delete is models.CASCADE:
            rows.delete()
        elif relation.on_delete is models.SET_NULL:
            rows.update(**{relation.field.name: None})


def _forget_name(user: Any, pseudonym: str) -> None:
    user.username, user.first_name, user.last_name, user.email = pseudonym, "", "", ""
    user.is_active, user.last_login = False, None
    user.set_unusable_password()  # tokens and cookies are bound to the password
    user.save()
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(user), object_id=str(user.pk)
    )
    entries.update(object_repr=pseudonym)
