"""Deleting an account: the person is gone, the sums are the same."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Count, Sum

from chargers.events import Notification, utcnow
from gateway.auth import tokens_for
from sessions import erasure, services
from sessions.errors import AccountClosed, ActiveSessionExists, OperatorAccount
from sessions.feed import tell
from sessions.models import ChargingSession, ErasedAccount, FeedEntry, IdTag, Reservation
from tests.factories import (
    make_charger,
    make_id_tag,
    make_online_charger,
    make_operator,
    make_session,
    make_user,
)

pytestmark = pytest.mark.django_db


def sums() -> dict[str, Any]:
    return ChargingSession.objects.aggregate(
        n=Count("pk"), u=Count("user"), c=Sum("cost"), e=Sum("energy_wh")
    )


def test_name_is_gone_ledger_stays_and_twice_is_once() -> None:
    user = make_user(username="ada-l", email="ada@example.org", first_name="Ada", last_name="Lovelace")
    user.groups.add(Group.objects.create(name="testers"))
    session = make_session(user=user, status="completed", cost=7, energy_wh=1000, stopped_at=utcnow())
    card = make_id_tag(user=user, note="Ada's")
    tell(user.pk, Notification(title="t", message="Hello Ada", data={}))
    tokens_for(user)
    LogEntry.objects.log_actions(make_operator().pk, [user], CHANGE, single_object=True)
    kept = Reservation.objects.create(
        charger=make_charger(),
        id_tag="X",
        user=user,
        state="active",
        expires_at=utcnow() + timedelta(hours=1),
    )
    before = sums()

    first = erasure.erase(user_id=user.pk, erased_by=user)
    assert erasure.erase(user_id=user.pk, erased_by=make_operator()) == first
    assert sums() == before
    session.refresh_from_db()
    assert session.user_id == user.pk

    user.refresh_from_db()
    assert (user.username, user.email, user.get_full_name()) == (f"deleted-{user.pk}", "", "")
    assert not user.is_active
    assert not user.has_usable_password()
    assert not user.groups.exists()
    card = IdTag.objects.get(pk=card.pk)
    assert (card.user, card.is_blocked, card.note) == (None, True, "")
    assert not FeedEntry.objects.filter(user=user).exists()
    entry = LogEntry.objects.get(
        content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk), action_flag=CHANGE
    )
    assert entry.object_repr == f"deleted-{user.pk}"
    assert Reservation.objects.get(pk=kept.pk).user is None


def test_nothing_but_the_ledger_points_to_a_deleted_user() -> None:
    """A new table says by its `on_delete` what is to become of it; PROTECT is for the ledger alone."""
    protected = {
        relation.field.model._meta.label
        for relation in User._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ManyToOneRel) and relation.on_delete is models.PROTECT
    }
    ledger = {"charging.ChargingSession", "charging.Decision", "charging.ErasedAccount"}
    assert protected - {"charging.WaitingSession"} == ledger


def test_refused_while_something_runs_and_for_operators() -> None:
    user = make_user()
    make_session(user=user)
    with pytest.raises(ActiveSessionExists):
        erasure.erase(user_id=user.pk, erased_by=user)
    with pytest.raises(OperatorAccount):
        erasure.erase(user_id=make_operator().pk, erased_by=user)
    assert not ErasedAccount.objects.exists()


def test_a_deleted_account_starts_nothing_more() -> None:
    user = make_user()
    erasure.erase(user_id=user.pk, erased_by=user)
    with pytest.raises(AccountClosed):
        services.request_start(user=user, identity=make_online_charger().identity)
