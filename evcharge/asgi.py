"""The ASGI application: HTTP by Django, sockets by Channels, and the background work of a server process."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evcharge.settings")
http = get_asgi_application()  # loads the apps: what follows imports models

from channels.routing import ProtocolTypeRouter  # noqa: E402

from gateway.background import with_background  # noqa: E402
from gateway.proxies import behind_proxies  # noqa: E402
from gateway.routing import websockets  # noqa: E402

application = with_background(behind_proxies(ProtocolTypeRouter({"http": http, "websocket": websockets})))
