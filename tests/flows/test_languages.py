"""One driver, phones in several languages: each hears what happens in its own, live, missed and asked for."""

from typing import Any

from tests import wire
from tests.charge import at, scene
from tests.conftest import Site
from tests.factories import make_charger, make_user, token_of
from tests.gateway.test_api import call

SENTENCES = {
    "en": ["Waiting for the charger", "Waiting for the charger", "Plug in your car", "Charging"],
    "de": ["Warten auf die Ladestation", "Warten auf die Ladestation", "Schließen Sie Ihr Auto an", "Lädt"],
    "ar": ["في انتظار الشاحن", "في انتظار الشاحن", "يُرجى توصيل سيارتكم", "جارٍ الشحن"],
}


def path(language: str, **more: Any) -> str:
    return "/?" + "&".join(f"{name}={value}" for name, value in {"lang": language, **more}.items())


async def messages_of(app: wire.App, **last: Any) -> list[dict[str, Any]]:
    """All that came, up to the message with these values."""
    app.passed.clear()
    final = await app.until(**last)
    return [*app.passed, final]


async def test_every_phone_hears_its_own_language(site: Site) -> None:
    async with scene(site) as s:
        token = {"Authorization": f"Bearer {token_of(s.user)}"}
        german = {**token, "Accept-Language": "de-CH, en;q=0.5"}
        async with (
            wire.app(site.charger_url, None, additional_headers=german) as de,
            wire.app(site.app_url, None, path=path("ar"), additional_headers=german) as ar,
        ):
            for phone in (de, ar):
                seq = (await phone.until(type="connected"))["seq"]
                await phone.until(type="active_session_update")
            nowhere = await de.act("start_charging", {"charger_id": "NOWHERE"})
            assert nowhere["error"] == "Es gibt keine Ladestation NOWHERE"
            assert (nowhere["code"], nowhere["message"]) == ("not_found", "There is no charger NOWHERE")

            wish = {"charger_id": s.identity, "connector_id": 1}
            await de.send({"action": "start_charging", "data": wish, "request_id": "start"})
            asked = await s.point.accepts("RemoteStartTransaction")
            answer = await de.whenever(request_id="start")
            assert answer["data"]["message"] == (
                "Die Ladestation ist bereit; stecken Sie das Kabel ein, falls noch nicht geschehen"
            )
            heard = {"de": [*de.passed]}
            transaction = await s.point.start(id_tag=asked["idTag"], at=at())
            heard["de"] += await messages_of(de, type="notification")
            heard["ar"] = await messages_of(ar, type="notification")
            heard["en"] = await messages_of(s.app, type="notification")
            for language, sentences in SENTENCES.items():
                told = [each for each in heard[language] if each["type"] == "command_update"]
                assert [each["message"] for each in told] == sentences
                assert [each["state"] for each in told] == ["queued", "sent", "accepted", "effective"]
            assert heard["de"][-1]["title"] == "Ladevorgang gestartet"
            assert heard["ar"][-1]["message"] == f"بدأ الشحن في {s.identity}."

            await s.point.meter(transaction=transaction, at=at(), energy=2000)
            for phone, span in ((s.app, "0 min"), (de, "0 Min."), (ar, "0 د")):
                tick = await phone.until(event="meter_value")
                assert tick["data"]["charging_duration_display"] == span

            await s.point.stop(transaction=transaction, meter=5000, at=at(), reason="Local")
            stopped = await de.until(type="notification")
            assert stopped["message"] == f"4,00 kWh in weniger als einer Minute an {s.identity}."
            await s.app.until(title="Charging stopped")

        async with wire.app(
            site.app_url, None, path=path("fr", last_seq=seq), additional_headers=token
        ) as fr:
            missed = await messages_of(fr, title="Recharge arrêtée")
            sentences = [each["message"] for each in missed if each["type"] == "command_update"]
            assert sentences == [
                "En attente de la borne",
                "En attente de la borne",
                "Branchez votre véhicule",
                "En charge",
            ]
            assert missed[-1]["message"] == f"4,00 kWh en moins d’une minute à {s.identity}."


async def test_a_close_says_why_in_the_language_that_was_asked_for(site: Site) -> None:
    """And in English to who did not ask: apps from before there were languages look for these words."""
    for path_, header, reason in (
        ("/?token=wrong&lang=de", "fr", "Ungültiges Zugangstoken"),
        ("/?token=wrong", "fr", "Invalid authentication token"),
        ("/?lang=ar", "fr", "يلزم تسجيل الدخول"),
    ):
        async with wire.app(
            site.app_url, None, path=path_, additional_headers={"Accept-Language": header}
        ) as app:
            assert await app.closed() == (1008, reason)
    async with wire.app(site.app_url, token_of(make_user(), life_s=2) + "&lang=de") as app:
        await app.until(type="active_session_update")
        assert await app.closed() == (1008, "Zugangstoken abgelaufen")


async def test_a_request_is_answered_in_its_language(site: Site) -> None:
    async with scene(site) as s:
        offline = make_charger()
        options: dict[str, Any] = {"token": token_of(s.user), "headers": {"Accept-Language": "es"}}
        wish = {"charger_id": offline.identity}
        answer = await call(site, "POST", "/api/charging/start", body=wish, **options)
        assert answer.body["error"] == f"{offline.identity} no está conectado"
        message = {"action": "stop_charging", "data": {}}
        answer = await call(site, "POST", "/api/websocket/message?lang=ar", body=message, **options)
        assert answer.data["error"] == "ليست لديكم جلسة شحن نشطة"
