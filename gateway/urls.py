"""HTTP paths of the gateway."""

from typing import Any

from django.urls import URLPattern, path, re_path

from gateway import account, api, asyncapi, console, drive, health, metrics, openapi, tokens
from gateway.operations import commands, facts, transactions
from gateway.resources import history, views


def either(route: str, view: Any, *, name: Any = None, **options: Any) -> list[URLPattern]:
    """A view of the API, with and without a slash at its end; the documents show the route as it is given."""
    other = route[:-1] if route.endswith("/") else route + "/"
    return [
        path(route, view.as_view(**options), name=name),
        path(other, view.as_view(**options, schema=None)),
    ]


LIST, DETAIL = {"get": "list"}, {"get": "retrieve"}

urlpatterns = [
    path("", console.home),
    path("console/", console.console),
    path("drive/app.webmanifest", drive.manifest),
    path("drive/worker.js", drive.worker),
    path("drive/", drive.page),
    path("drive/<path:charger_id>", drive.page),
    *either("api/token/", tokens.Login),
    *either("api/token/refresh/", tokens.Refresh),
    *either("api/token/verify/", tokens.Verify),
    *either("api/auth/validate-token", tokens.ValidateToken),
    *either("api/auth/logout/", tokens.LogOut),
    *either("api/charging/start", api.StartCharging),
    *either("api/charging/stop", api.StopCharging),
    *either("api/charging/session/active", api.ActiveSession),
    *either("api/charging/charger/<path:charger_id>/status", api.ChargerStatus),
    *either("api/charging/chargers", api.Chargers),
    *either("api/charging/remote_start", api.RemoteStart),
    *either("api/charging/remote_stop", api.RemoteStop),
    *either("api/websocket/message", api.WebSocketMessage),
    *either("api/stations/", views.Stations, actions=LIST),
    *either("api/stations/<int:pk>/", views.Stations, actions=DETAIL),
    *either("api/chargers/", views.Chargers, actions=LIST),
    *either("api/chargers/<path:charger_id>/status", views.Chargers, actions={"get": "status"}),
    *either("api/chargers/<path:charger_id>/commands/", commands.ChargerCommands),
    *either("api/chargers/<path:charger_id>/transactions/", transactions.Transactions),
    *either(
        "api/chargers/<path:charger_id>/transactions/<int:transaction_id>/close/",
        transactions.CloseTransaction,
    ),
    *either("api/chargers/<path:charger_id>/reservations/", facts.Reservations),
    *either("api/chargers/<path:charger_id>/charging-profiles/", facts.ChargingProfiles),
    *either("api/chargers/<path:charger_id>/local-list/", facts.KeptLocalList),
    *either("api/chargers/<path:charger_id>/certificates/", facts.Certificates),
    *either("api/chargers/<path:charger_id>/firmware-updates/", facts.FirmwareUpdates),
    *either("api/chargers/<path:charger_id>/log-uploads/", facts.LogUploads),
    *either("api/chargers/<path:charger_id>/security-events/", facts.SecurityEvents),
    *either("api/chargers/<path:charger_id>/configuration/", facts.Configuration),
    *either("api/chargers/<path:charger_id>/breaches/", facts.Breaches),
    *either("api/chargers/<path:charger_id>/ocpp-messages/", facts.OcppMessages),
    *either("api/chargers/<path:charger_id>/", views.Chargers, actions=DETAIL),
    *either("api/sessions/", views.Sessions, actions=LIST),
    *either("api/sessions/<int:pk>/", views.Sessions, actions=DETAIL),
    *either("api/sessions/<int:pk>/meter-values/", views.MeterValues),
    *either("api/sessions/<int:pk>/chart/", history.Chart),
    *either("api/sessions/<int:pk>/receipt/", history.SessionReceipt),
    *either("api/sessions/<int:pk>/receipt.pdf", history.SessionReceiptPdf),
    *either("api/account/", account.Account),
    *either("api/account/export/", account.Export),
    *either("api/commands/", commands.Commands, actions=LIST),
    *either("api/commands/<uuid:pk>/", commands.Commands, actions=DETAIL, name="command"),
    path("api/schema/", openapi.OpenApiDocument.as_view(), name="schema"),
    path("api/schema", openapi.OpenApiDocument.as_view()),
    *either("api/docs/", openapi.SwaggerPage),
    re_path(r"^api(/|$)", api.NotThere.as_view()),
    path("asyncapi.json", asyncapi.asyncapi_json),
    path("docs/", asyncapi.docs),
    re_path(r"^health/?$", health.ready),
    re_path(r"^health/live/?$", health.live),
    re_path(r"^health/ready/?$", health.ready),
    *either("stats", health.Stats),
    re_path(r"^metrics/?$", metrics.metrics),
]
