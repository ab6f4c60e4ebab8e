"""The reconcile queue: sessions about which something is odd and nobody has decided yet, each with its reasons."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from chargers.admin import columns
from chargers.admin.pages import narrowed
from chargers.models import Charger, Station
from sessions.admin import reviews
from sessions.admin.sessions import Begun, ChargingSessionAdmin
from sessions.models import ChargingSession, WaitingSession


@admin.register(WaitingSession)
class WaitingSessionAdmin(ChargingSessionAdmin):
    """Who may see sessions may see these; each leads to its own page."""

    actions = (reviews.accept, reviews.correct, reviews.void)
    list_display = (
        "session_link",
        "where",
        "who",
        "energy",
        "bill",
        "flag_badges",
        "reasons",
        "begun_minute",
    )
    list_display_links = None
    list_filter = (
        narrowed(Charger, "charger"),
        narrowed(Station, "station", lookup="charger__station"),
        narrowed(get_user_model(), "user"),
        Begun,
        ("started_at", admin.DateFieldListFilter),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        waiting = super().get_queryset(request).filter(review=ChargingSession.Review.WAITING)
        return waiting.prefetch_related("oddities")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("charging.view_chargingsession")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        session = self.get_object(request, object_id)
        if session is None:
            return super().change_view(request, object_id, *args, **kwargs)
        return HttpResponseRedirect(columns.page_url(ChargingSession(pk=session.pk)))

    @admin.display(description="session", ordering="pk")
    def session_link(self, session: WaitingSession) -> str:
        return columns.to_page(ChargingSession(pk=session.pk))

    @admin.display(description="why")
    def reasons(self, session: WaitingSession) -> str:
        return reviews.reasons(session)
