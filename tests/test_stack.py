"""The stack under test is the one STACK names. A silent fall-back to the defaults would make every other test lie."""

import os

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from redis import Redis

REAL = os.environ["STACK"] == "real"


@pytest.mark.django_db
def test_database_is_the_one_the_stack_names():
    assert connection.vendor == ("postgresql" if REAL else "sqlite")
    with connection.cursor() as cursor:
        cursor.execute("SELECT version()" if REAL else "SELECT sqlite_version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL " if REAL else "3.")


@pytest.mark.django_db
def test_database_is_one_that_a_server_process_can_share():
    assert "memory" not in str(connection.settings_dict["NAME"])


def test_channel_layer_is_the_one_the_stack_names():
    name = type(get_channel_layer()).__name__
    assert settings.CHANNEL_LAYERS["default"]["BACKEND"].endswith("." + name)
    assert ("Redis" in name) is REAL


def test_redis_url_leads_to_a_valkey_of_this_run_or_nowhere():
    if not REAL:
        assert not settings.REDIS_URL
        return
    with Redis.from_url(settings.REDIS_URL) as client:
        assert client.info("server")["server_name"] == "valkey"
        assert client.config_get("save")["save"] == ""


async def test_message_crosses_the_channel_layer():
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("stack", channel)
    await layer.group_send("stack", {"type": "greeting", "text": "it works"})
    assert (await layer.receive(channel))["text"] == "it works"
    await layer.group_discard("stack", channel)


def test_settings_come_from_the_tests_and_not_from_the_machine():
    assert not settings.DEBUG
    assert len(settings.SECRET_KEY) >= 50
