"""What is sent once the work is committed, and what becomes of it when that fails."""

import logging
from typing import Any

import pytest
from django.db import connection, transaction

from chargers import bus

ENVELOPES = [bus.to_group("bus.nobody", {"type": "x"})]


@pytest.mark.django_db
def test_nothing_is_sent_of_what_is_undone(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[list[bus.Envelope]] = []
    monkeypatch.setattr(bus, "post", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        bus.send_on_commit(ENVELOPES)
        assert not sent
    assert sent == [ENVELOPES]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_fault_in_the_sending_is_logged_and_undoes_nothing(
    committed: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, in_transaction: bool
) -> None:
    def post(envelopes: list[bus.Envelope]) -> None:
        raise RuntimeError("no bus")

    monkeypatch.setattr(bus, "post", post)
    with caplog.at_level(logging.ERROR):
        if in_transaction:
            with transaction.atomic():
                bus.send_on_commit(ENVELOPES)
        else:
            assert not connection.in_atomic_block
            bus.send_on_commit(ENVELOPES)
    assert "no bus" in caplog.text
