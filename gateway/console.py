"""The pages for people with a browser: the start page and the test console. Plain files; the socket does the rest."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

# Everything comes from our own files. The chart sets styles by CSSOM, which needs no exception here.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self' ws: wss:",  # the console may be pointed at the socket of another server
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ]
)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """`GET /`: what there is on this port. In the demo also how to get in."""
    return _page(request, "home.html")


@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """`GET /console/`: the app socket by hand, for testers."""
    return _page(request, "console.html")


def _page(request: HttpRequest, template: str) -> HttpResponse:
    context: dict[str, Any] = {
        "demo": settings.DEMO,
        "http_url": request.build_absolute_uri("/").rstrip("/"),
        "ws_url": f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}",
    }
    response = render(request, template, context)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
