"""The driver's page: an app on the published protocol, to be used on a phone and put on its home screen."""

from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

FILES = Path(__file__).parent / "static" / "gateway" / "drive"

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ]
)


@require_safe
def page(request: HttpRequest, charger_id: str = "") -> HttpResponse:
    """`GET /drive/` and `/drive/<identity>`, which a code on the charger links to: the page reads its address."""
    response = render(request, "drive.html")
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """What a phone needs to know to install the page."""
    icon = {"src": static("gateway/icon.svg"), "type": "image/svg+xml", "sizes": "any", "purpose": "any"}
    return JsonResponse(
        {
            "id": "/drive/",
            "name": "evcharge",
            "start_url": "/drive/",
            "scope": "/drive/",
            "display": "standalone",
            "background_color": "#f4f6f8",
            "theme_color": "#0e7a5f",
            "icons": [icon],
        },
        content_type="application/manifest+json",
    )


@require_safe
def worker(request: HttpRequest) -> FileResponse:
    """The service worker. It may only serve pages below its own address, so it cannot stand among the static files."""
    response = FileResponse((FILES / "worker.js").open("rb"), content_type="text/javascript")
    response["Cache-Control"] = "no-cache"
    return response
