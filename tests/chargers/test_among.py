"""A condition with any number of values, on either database, for every kind of key that is asked for so."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chargers.among import Among
from chargers.models import Charger, Command
from tests.factories import make_charger, make_online_charger, make_session, make_user

pytestmark = pytest.mark.django_db


def test_numbers_texts_and_ids_are_found_and_nothing_else() -> None:
    one, two, other = make_charger(), make_charger(), make_charger()
    assert set(Charger.objects.filter(Among("pk", [one.pk, two.pk, two.pk, -1]))) == {one, two}
    assert set(Charger.objects.filter(Among("identity", {one.identity, 'it\'s "none"'}))) == {one}
    commands = [Command.objects.create(charger=other, action="Reset") for _ in range(3)]
    wanted = [commands[0].pk, uuid.uuid4(), commands[2].pk]
    assert set(Command.objects.filter(Among("pk", wanted), charger=other)) == {commands[0], commands[2]}
    assert list(Charger.objects.filter(Among("pk", []))) == []


def test_a_relation_is_asked_by_its_own_column_and_from_the_other_side() -> None:
    user, charger = make_user(), make_online_charger()
    session = make_session(user=user, charger=charger)
    make_session(user=make_user())
    with CaptureQueriesContext(connection) as asked:
        assert list(type(session).objects.filter(Among("user_id", [user.pk]))) == [session]
    assert "JOIN" not in asked[0]["sql"]
    assert list(User.objects.filter(Among("charging_sessions__pk", [session.pk]))) == [user]


def test_there_may_be_thousands() -> None:
    """More than SQLite has parameters for."""
    charger = make_charger()
    assert charger in Charger.objects.filter(Among("pk", range(charger.pk - 50_000, charger.pk + 1)))
