"""Django settings. Every value that differs between installations comes through `evcharge.env`."""

import sys
from datetime import timedelta
from typing import Any

from evcharge.env import BASE_DIR, Settings, example

values = Settings()

DEMO = values.DEMO
DEBUG = values.DEBUG
SECRET_KEY = values.SECRET_KEY
ALLOWED_HOSTS = ["*"] if DEMO else values.ALLOWED_HOSTS
CSRF_TRUSTED_ORIGINS = values.CSRF_TRUSTED_ORIGINS

INSTALLED_APPS = [
    # Its `runserver` speaks ASGI; before staticfiles. Only then: Twisted is 27 MiB that no other process needs.
    *(["daphne"] if "runserver" in sys.argv[1:2] else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "rest_framework_simplejwt",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "chargers",
    "sessions",
    "gateway",
]

MIDDLEWARE = [
    "gateway.logs.RequestIds",
    "gateway.fair_use.FairUse",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "evcharge.urls"
ASGI_APPLICATION = "evcharge.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- storage and bus ---

DATABASES: dict[str, Any] = {"default": values.DATABASE_URL}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        # WAL: readers do not wait for the writer. FULL: a commit survives a power cut, so an answer may follow it.
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;",
        transaction_mode="IMMEDIATE",  # a write lock taken late in a transaction fails at once instead of waiting
        timeout=10,
    )
    # A file, so that a server process under test shares it.
    DATABASES["default"]["TEST"] = {"NAME": f"{DATABASES['default']['NAME']}.test"}
else:
    # What a process that stands still has locked is free after 10 s; one that is cut off from the database, and the
    # database from it, knows after 30 s. `?options=` in DATABASE_URL replaces the first half.
    DATABASES["default"]["OPTIONS"] = {
        "options": "-c idle_in_transaction_session_timeout=10000 -c tcp_keepalives_idle=15"
        " -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
        "connect_timeout": 5,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        **DATABASES["default"].get("OPTIONS", {}),
    }
# CONN_MAX_AGE stays 0: each HTTP request has a thread, and so a connection, of its own under ASGI. The sockets'
# services keep theirs (gateway.db).
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = values.REDIS_URL
CHANNEL_LAYERS: dict[str, Any] = {"default": {"BACKEND": "gateway.layers.MemoryLayer"}}
if REDIS_URL:
    where = {"url": REDIS_URL} if values.CHANNEL_LAYER.startswith("gateway.") else {"hosts": [REDIS_URL]}
    bus = {**where, "prefix": values.REDIS_PREFIX}
    CHANNEL_LAYERS = {"default": {"BACKEND": values.CHANNEL_LAYER, "CONFIG": bus}}
    CACHES = {
        "default": {
            "BACKEND": "gateway.caches.SharedCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": values.REDIS_PREFIX,
        }
    }

# --- tokens and API ---

AUTHENTICATION_BACKENDS = ["gateway.auth.AccountBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=values.ACCESS_TOKEN_MINUTES),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=values.REFRESH_TOKEN_DAYS),
    "CHECK_REVOKE_TOKEN": True,  # a changed password ends the tokens issued before it
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "gateway.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_PAGINATION_CLASS": "gateway.resources.Pages",
    "DEFAULT_THROTTLE_CLASSES": ["gateway.throttles.UserThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "login": f"{values.LOGIN_ATTEMPTS_PER_MINUTE}/min",
        "export": f"{values.EXPORTS_PER_HOUR}/hour",
    },
    "EXCEPTION_HANDLER": "gateway.errors.rest_exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "evcharge API",
    "DESCRIPTION": (
        "Start, watch and stop charging; run the chargers behind it. The live half is the app socket: see /docs/. "
        "Sentences for people (`error`, `title`, `message` of answers) are in the language of `?lang=` or "
        "`Accept-Language`: en, de, fr, es or ar; codes and details are the same in all."
    ),
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"SessionStatusEnum": "sessions.models.ChargingSession.Status"},
}

# --- what the gateway and the domain read ---

ENV_EXAMPLE = example()  # the text of .env.example
HOST, PORT, PROCESSES, DB_THREADS = values.HOST, values.PORT, values.PROCESSES, values.DB_THREADS
MAX_APP_SOCKETS = values.MAX_APP_SOCKETS
MAX_ACTIVE_SESSIONS_PER_USER = values.MAX_ACTIVE_SESSIONS_PER_USER
OPERATOR_NAME, OPERATOR_ADDRESS = values.OPERATOR_NAME, values.OPERATOR_ADDRESS
OPERATOR_TAX_ID = values.OPERATOR_TAX_ID
MAP_TILES_URL = values.MAP_TILES_URL
MAP_ATTRIBUTION, MAP_ATTRIBUTION_URL = values.MAP_ATTRIBUTION, values.MAP_ATTRIBUTION_URL
REPLAY_MINUTES, REPLAY_MESSAGES = values.REPLAY_MINUTES, values.REPLAY_MESSAGES
CLIENT_REF_HOURS = values.CLIENT_REF_HOURS
REFRESH_GRACE_S, TOKEN_WARNING_S = values.REFRESH_GRACE_S, values.TOKEN_WARNING_S
LOGIN_FAILURES = values.LOGIN_FAILURES
LOGIN_FAILURES_PER_ADDRESS = values.LOGIN_FAILURES_PER_ADDRESS
MAX_SOCKETS_PER_USER, MAX_SOCKETS_PER_ADDRESS = values.MAX_SOCKETS_PER_USER, values.MAX_SOCKETS_PER_ADDRESS
MESSAGES_PER_SECOND, LOOKS_PER_SECOND = values.MESSAGES_PER_SECOND, values.LOOKS_PER_SECOND
ORDERS_PER_MINUTE, REQUESTS_PER_ADDRESS = values.ORDERS_PER_MINUTE, values.REQUESTS_PER_ADDRESS
MAX_CHARGER_SOCKETS = values.MAX_CHARGER_SOCKETS
UNKNOWN_CHARGERS, MAX_UNKNOWN_CHARGERS = values.UNKNOWN_CHARGERS, values.MAX_UNKNOWN_CHARGERS
MIN_SECURITY_PROFILE, MAX_REFUSALS = values.MIN_SECURITY_PROFILE, values.MAX_REFUSALS
CPO_NAME, CA_CERTIFICATE, CA_KEY, CA_URL = (
    values.CPO_NAME,
    values.CA_CERTIFICATE,
    values.CA_KEY,
    values.CA_URL,
)
CERTIFICATE_DAYS = values.CERTIFICATE_DAYS
CERTIFICATE_RENEWAL_DAYS = values.CERTIFICATE_RENEWAL_DAYS
TRUSTED_PROXIES = values.TRUSTED_PROXIES
CLIENT_CERTIFICATE_HEADER = values.CLIENT_CERTIFICATE_HEADER
TLS_CERTIFICATE, TLS_KEY, TLS_PORT = values.TLS_CERTIFICATE, values.TLS_KEY, values.TLS_PORT
TLS_CLIENT_CA = values.TLS_CLIENT_CA
COMMAND_TIMEOUT_S = values.COMMAND_TIMEOUT_S
START_TIMEOUT_S = values.START_TIMEOUT_S
HEARTBEAT_INTERVAL_S = values.HEARTBEAT_INTERVAL_S
CLOCK_SKEW_TOLERANCE_S = values.CLOCK_SKEW_TOLERANCE_S
LATE_AFTER_S = values.LATE_AFTER_S
SILENT_AFTER_S = values.SILENT_AFTER_S
STUCK_AFTER_S = values.STUCK_AFTER_S
MAX_RESERVATION_MINUTES = values.MAX_RESERVATION_MINUTES
MAX_RESERVATIONS_PER_USER = values.MAX_RESERVATIONS_PER_USER
RESERVATION_REMINDERS_S = values.RESERVATION_REMINDERS_S
WATCH_HOURS, MAX_WATCHES_PER_USER = values.WATCH_HOURS, values.MAX_WATCHES_PER_USER
MAX_POWER_KW = values.MAX_POWER_KW
TRACING = not values.OTEL_SDK_DISABLED and bool(
    values.OTEL_EXPORTER_OTLP_ENDPOINT or values.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
)
WIRE_LOG, WIRE_LOG_DAYS, WIRE_LOG_ROWS = values.WIRE_LOG, values.WIRE_LOG_DAYS, values.WIRE_LOG_ROWS
METER_READINGS_FULL_DAYS = values.METER_READINGS_FULL_DAYS
METER_READINGS_THINNED_MINUTES = values.METER_READINGS_THINNED_MINUTES
METER_READINGS_DAYS = values.METER_READINGS_DAYS
COMMANDS_DAYS, SECURITY_EVENTS_DAYS = values.COMMANDS_DAYS, values.SECURITY_EVENTS_DAYS
WS_PING_INTERVAL_S, WS_PING_TIMEOUT_S = values.WS_PING_INTERVAL_S, values.WS_PING_TIMEOUT_S
PRESENCE_INTERVAL_S, SWEEP_INTERVAL_S = values.PRESENCE_INTERVAL_S, values.SWEEP_INTERVAL_S
DRAIN_NOTICE_S, DRAIN_S = values.DRAIN_NOTICE_S, values.DRAIN_S

# --- pages, files, time ---

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
SERVESTATIC_USE_FINDERS = True  # no collectstatic step before the first run
LANGUAGE_CODE = "en"
# What drivers are told (gateway.languages). Operators' pages are English: there is no LocaleMiddleware.
LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French"), ("es", "Spanish"), ("ar", "Arabic")]
TIME_ZONE = values.TIME_ZONE
USE_TZ = True
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

# --- security ---

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = values.HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if values.HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = values.HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics"]  # a load balancer and a scraper come without TLS
# Whether a proxy's word counts is gateway.proxies' to say, for sockets and pages alike: no SECURE_PROXY_SSL_HEADER.
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"secrets": {"()": "gateway.logs.HideSecrets"}},
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "gateway.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": values.LOG_FORMAT,
            "filters": ["secrets"],
        },
        "count": {"class": "gateway.logs.CountWritten", "level": "WARNING", "filters": ["secrets"]},
    },
    "root": {"handlers": ["console", "count"], "level": values.LOG_LEVEL},
    "loggers": {
        "uvicorn": {"level": "WARNING"},  # its INFO lines carry the query string, and so the token
        "uvicorn.error": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "django": {"handlers": [], "propagate": True},
        "websockets": {"level": "WARNING"},
        "fontTools": {"level": "WARNING"},  # its INFO lines carry the letters of a receipt
    },
}
