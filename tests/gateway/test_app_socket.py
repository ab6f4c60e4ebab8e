"""What becomes of a phone when something fails while it comes in."""

from typing import Any

import pytest
from django.db import OperationalError

from chargers.events import Notification
from gateway.app_socket import AppSocket
from sessions import feed
from tests import wire
from tests.factories import make_user, token_of
from tests.server_here import server_here


async def test_a_database_that_goes_while_a_phone_comes_in_sends_it_away_for_a_while(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E46: it is told when to come back, and with which number; it was closed as for a fault of ours"""
    user = make_user()
    feed.tell(user.pk, Notification(title="known", message=""))
    looked_up = AppSocket._missed

    async def and_then_the_database_goes(self: AppSocket, newest: int) -> Any:
        missed = await looked_up(self, newest)
        assert self.held is not None
        self.held.append({"type": "event", "seq": newest + 2, "body": "{}"})  # the one before was not brought
        monkeypatch.setattr(feed, "missed", gone)
        return missed

    def gone(*_: Any, **__: Any) -> Any:
        raise OperationalError

    monkeypatch.setattr(AppSocket, "_missed", and_then_the_database_goes)
    async with server_here() as url, wire.app(url, token_of(user)) as app:
        closing = await app.until(type="closing")
        assert (closing["code"], closing["last_seq"]) == (1013, 1)
        assert closing["retry_after"] > 0
        assert await app.closed() == (1013, "Try again later")
