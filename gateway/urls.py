"""HTTP paths of the gateway."""

from django.urls import path

from gateway import api, console, health, tokens

urlpatterns = [
    path("", console.home),
    path("console/", console.console),
    path("api/token/", tokens.Login.as_view()),
    path("api/token/refresh/", tokens.Refresh.as_view()),
    path("api/token/verify/", tokens.Verify.as_view()),
    path("api/auth/validate-token", tokens.ValidateToken.as_view()),
    path("api/charging/start", api.StartCharging.as_view()),
    path("api/charging/stop", api.StopCharging.as_view()),
    path("api/charging/session/active", api.ActiveSession.as_view()),
    path("api/charging/charger/<str:charger_id>/status", api.ChargerStatus.as_view()),
    path("api/charging/chargers", api.Chargers.as_view()),
    path("api/charging/remote_start", api.RemoteStart.as_view()),
    path("api/charging/remote_stop", api.RemoteStop.as_view()),
    path("api/websocket/message", api.WebSocketMessage.as_view()),
    path("health", health.ready),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("stats", health.Stats.as_view()),
    path("metrics", health.metrics),
]
