"""A phone at a charger, and a charge under way: where many tests begin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import User

from chargers.models import Charger
from tests import wire
from tests.factories import make_charger, make_user, token_of


class Scene(NamedTuple):
    """Who takes part. `point` is the charger's own side of its socket, `app` the phone's."""

    charger: Charger
    user: User
    point: wire.FakeCharger
    app: wire.App

    @property
    def identity(self) -> str:
        return self.charger.identity


class Charge(NamedTuple):
    """`answer` is the `data` of the start's answer."""

    answer: dict[str, Any]
    id_tag: str
    session_id: int
    transaction_id: int


def at(seconds: float = 0) -> str:
    """The charger's clock, so many seconds from now; spelled as the app's messages spell it."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    moment = moment.replace(microsecond=max(1, moment.microsecond // 1000) * 1000)
    return moment.isoformat().replace("+00:00", "Z")


@asynccontextmanager
async def scene(site: Any, *, user: User | None = None, **fields: Any) -> AsyncIterator[Scene]:
    """A charger that is ready and a phone that has had its greeting."""
    charger = make_charger(**fields)
    user = user or make_user()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        await point.ready(fields.get("connectors", 2))
        await app.until(type="active_session_update")
        yield Scene(charger, user, point, app)


async def begin(
    scene: Scene, *, connector: int = 1, meter: int = 1000, app: wire.App | None = None, started_at: str = ""
) -> Charge:
    """Start from the app, accept, plug in: the app knows of the transaction when this returns."""
    app = app or scene.app
    request = {"charger_id": scene.identity, "connector_id": connector}
    await app.send({"action": "start_charging", "data": request, "request_id": "begin"})
    asked = await scene.point.accepts("RemoteStartTransaction")
    answer = (await app.until(request_id="begin"))["data"]
    assert answer["success"] is True, answer
    transaction = await scene.point.start(
        connector=connector, id_tag=asked["idTag"], meter=meter, at=started_at or at()
    )
    while True:  # not the event: a start of long ago has none (E28)
        state = await app.until(type="active_session_update")
        if state["data"] and state["data"]["transaction_id"] == transaction:
            break
    return Charge(answer, asked["idTag"], answer["session_id"], transaction)


async def end(scene: Scene, charge: Charge, *, meter: int = 5000, app: wire.App | None = None) -> None:
    """The charger ends the transaction by itself."""
    await scene.point.stop(transaction=charge.transaction_id, meter=meter, at=at(), reason="Local")
    await (app or scene.app).until(event="session_completed", session_id=charge.session_id)
