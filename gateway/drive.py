"""The driver's page: an app on the published protocol, to be used on a phone and put on its home screen."""

from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

FILES = Path(__file__).parent / "static" / "gateway" / "drive"

# Drawn by `python -m tests.icons`. Chrome asks for 192 and 512 pixels; Android cuts the maskable to its shape.
ICONS = [
    {
        "src": f"gateway/icons/{name}-{pixels}.png",
        "type": "image/png",
        "sizes": f"{pixels}x{pixels}",
        "purpose": purpose,
    }
    for name, purpose in (("icon", "any"), ("maskable", "maskable"))
    for pixels in (192, 512)
]


@require_safe
def page(request: HttpRequest, charger_id: str = "") -> HttpResponse:
    """`GET /drive/` and `/drive/<identity>`, which a code on the charger links to: the page reads its address."""
    tiles = settings.MAP_TILES_URL
    context = {
        "tiles": tiles,
        "attribution": settings.MAP_ATTRIBUTION,
        "attribution_url": settings.MAP_ATTRIBUTION_URL,
    }
    response = render(request, "drive.html", context)
    response["Content-Security-Policy"] = _policy(tiles)
    if (
        tiles
    ):  # who serves maps to the public wants to know for which site, and need not know for which charger
        response["Referrer-Policy"] = "strict-origin"
    return response


def _policy(tiles: str) -> str:
    """Only our own files, and from the tiles' host pictures."""
    address = urlsplit(tiles)
    host = f" {address.scheme}://{address.netloc}" if address.netloc else ""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data:{host}",
            "connect-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ]
    )


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """What a phone needs to know to install the page."""
    return JsonResponse(
        {
            "id": "/drive/",
            "name": "evcharge",
            "short_name": "evcharge",
            "description": "Find a charger, start, watch and stop your charge.",
            "start_url": "/drive/",
            "scope": "/drive/",
            "display": "standalone",
            "background_color": "#f4f6f8",
            "theme_color": "#0e7a5f",
            "icons": [
                {
                    "src": static("gateway/icon.svg"),
                    "type": "image/svg+xml",
                    "sizes": "any",
                    "purpose": "any",
                },
                *(icon | {"src": static(icon["src"])} for icon in ICONS),
            ],
        },
        content_type="application/manifest+json",
    )


@require_safe
def worker(request: HttpRequest) -> FileResponse:
    """The service worker. It may only serve pages below its own address, so it cannot stand among the static files."""
    response = FileResponse((FILES / "worker.js").open("rb"), content_type="text/javascript")
    response["Cache-Control"] = "no-cache"
    return response
