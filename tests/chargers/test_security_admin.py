"""The operators' pages of certificates, refusals and security events."""

from typing import Any

import pytest
from django.db.models import Model

from chargers.events import utcnow
from chargers.models import Certificate, ConnectionRefusal, SecurityEvent
from tests.factories import make_charger
from tests.operators import act, list_of, messages_of, operator, page_of, staff, walk_through

pytestmark = pytest.mark.django_db


def make_certificate(**fields: Any) -> Certificate:
    values = {"kind": "ChargePointCertificate", "state": "installed", "pem": "PEM", "subject": "CN=it"}
    return Certificate.objects.create(**{"charger": make_charger(), **values, **fields})


def state_of(row: Certificate) -> str:
    row.refresh_from_db()
    return row.state


def make_row(model: type[Model]) -> Model:
    if model is Certificate:
        return make_certificate()
    charger, now = make_charger(), utcnow()
    if model is SecurityEvent:
        return SecurityEvent.objects.create(
            charger=charger, kind="TamperDetectionActivated", occurred_at=now, received_at=now
        )
    return ConnectionRefusal.objects.create(
        identity=charger.identity, charger=charger, reason="wrong_password", first_at=now, last_at=now
    )


@pytest.mark.parametrize("model", [Certificate, ConnectionRefusal, SecurityEvent])
def test_every_column_and_filter_works(model: type[Model]) -> None:
    row, client = make_row(model), operator()
    walk_through(client, model)
    assert client.get(page_of(row)).status_code == 200


def test_a_certificate_is_withdrawn_and_let_in_again() -> None:
    row, client = make_certificate(), operator()
    answer = act(client, "withdraw", row)
    assert state_of(row) == "deleted"
    assert messages_of(answer) == [f"{row} opens the door no more."]
    act(client, "reinstate", row)
    assert state_of(row) == "installed"


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("withdraw", {"kind": "ManufacturerRootCertificate"}),
        ("reinstate", {"kind": "CentralSystemRootCertificate", "state": "deleted"}),
        ("reinstate", {"pem": "", "state": "deleted"}),  # only its hash is known
    ],
)
def test_what_is_no_chargers_own_is_left_alone_and_said(action: str, fields: dict[str, Any]) -> None:
    row = make_certificate(**fields)
    before = state_of(row)
    answer = act(operator(), action, row)
    assert state_of(row) == before
    assert messages_of(answer) == [f"{row} is not a charger's own certificate."]


@pytest.mark.parametrize("action", ["withdraw", "reinstate"])
def test_who_may_only_look_decides_nothing(action: str) -> None:
    row = make_certificate(state="deleted" if action == "reinstate" else "installed")
    before = state_of(row)
    client = staff("chargers.view_certificate")
    assert client.get(list_of(Certificate)).status_code == 200
    act(client, action, row)
    assert state_of(row) == before
