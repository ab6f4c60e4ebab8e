"""The pages of certificates, security events and refused connections."""

from collections.abc import Iterator
from datetime import timedelta

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from chargers import certificates, commands
from chargers.admin import charger_security, columns
from chargers.admin.charger_security import TONES, kind_of, reason_of, send_each
from chargers.admin.chargers import ChargerAdmin
from chargers.admin.pages import Facts, YesNo, narrowed
from chargers.admin.sending import Refused, chosen, confirmation
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Certificate, Charger, ConnectionRefusal, SecurityEvent
from chargers.root_certificates import deletion
from chargers.security import CRITICAL_EVENTS

ChargerAdmin.offer(charger_security.new_password, is_dangerous=True)
ChargerAdmin.offer(charger_security.renew_certificate)
ChargerAdmin.offer(charger_security.install_certificate)
ChargerAdmin.offer(charger_security.list_certificates)
ChargerAdmin.offer(charger_security.begin_lower, is_dangerous=True)


class Known(YesNo):
    title = "charger"
    parameter_name = "known"
    words = ("Known", "Unknown")

    def narrow(self, queryset: QuerySet[ConnectionRefusal], yes: bool) -> QuerySet[ConnectionRefusal]:
        return queryset.filter(charger__isnull=not yes)


class Slowed(YesNo):
    title = "slowed down now"
    parameter_name = "slowed"

    def narrow(self, queryset: QuerySet[ConnectionRefusal], yes: bool) -> QuerySet[ConnectionRefusal]:
        slowed = queryset.filter(slowed_until__gt=utcnow())
        return slowed if yes else queryset.exclude(pk__in=slowed.values("pk"))


@admin.register(ConnectionRefusal)
class ConnectionRefusalAdmin(Facts):
    list_display = ("who", "why", "address", "count", "last", "first", "wait", "detail")
    list_filter = (
        narrowed(Charger, "charger"),
        Known,
        Slowed,
        ("reason", admin.AllValuesFieldListFilter),
        "last_at",
    )
    list_select_related = ("charger",)
    search_fields = ("identity", "address")
    search_help_text = "Identity or address"
    fieldsets = (
        (None, {"fields": ("who", "why", "detail", "address")}),
        ("How often", {"fields": ("count", "first", "last", "wait")}),
    )

    @admin.display(description="dialled in as", ordering="identity")
    def who(self, row: ConnectionRefusal) -> str:
        return columns.to_page(row.charger) if row.charger else row.identity or "(no usable identity)"

    @admin.display(description="why", ordering="reason")
    def why(self, row: ConnectionRefusal) -> str:
        return columns.badge(row.reason, reason_of(row), tone="bad")

    @admin.display(description="last", ordering="last_at")
    def last(self, row: ConnectionRefusal) -> str:
        return columns.ago(row.last_at)

    @admin.display(description="first", ordering="first_at")
    def first(self, row: ConnectionRefusal) -> str:
        return columns.ago(row.first_at)

    @admin.display(description="slowed until", ordering="slowed_until")
    def wait(self, row: ConnectionRefusal) -> str:
        is_slowed = row.slowed_until is not None and row.slowed_until > utcnow()
        return columns.moment(row.slowed_until) if is_slowed else columns.NOTHING


# Security whitepaper, appendix 1.
KINDS = (
    *CRITICAL_EVENTS,
    *("FailedToAuthenticateAtCentralSystem", "CentralSystemFailedToAuthenticate", "InvalidMessages"),
    *("ReconfigurationOfSecurityParameters", "AttemptedReplayAttacks", "InvalidFirmwareSignature"),
    *("InvalidFirmwareSigningCertificate", "InvalidCentralSystemCertificate"),
    *("InvalidChargePointCertificate", "InvalidTLSVersion", "InvalidTLSCipherSuite"),
)


class Kind(admin.SimpleListFilter):
    """Those of the whitepaper; to list what is there would mean to look through all events."""

    title = "type"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in sorted(KINDS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SecurityEvent]) -> QuerySet[SecurityEvent]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(SecurityEvent)
class SecurityEventAdmin(Facts):
    list_display = ("kind", "weight", "charger_link", "tech_info", "happened", "received")
    list_filter = (
        narrowed(Charger, "charger"),
        "is_critical",
        Kind,
        "received_at",
    )
    list_select_related = ("charger",)
    search_fields = ("charger__identity", "charger__serial_number", "kind", "tech_info")
    search_help_text = "Identity or serial number of the charger, type, what it says"
    ordering = ("-received_at", "-pk")
    fieldsets = (
        (None, {"fields": ("kind", "weight", "charger_link", "tech_info")}),
        ("When", {"fields": ("happened", "received")}),
    )

    @admin.display(description="critical", ordering="is_critical")
    def weight(self, event: SecurityEvent) -> str:
        return columns.badge("critical", tone="bad") if event.is_critical else columns.NOTHING

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, event: SecurityEvent) -> str:
        return columns.to_page(event.charger)

    @admin.display(description="happened (its clock)", ordering="occurred_at")
    def happened(self, event: SecurityEvent) -> str:
        return columns.moment(event.occurred_at)

    @admin.display(description="received", ordering="received_at")
    def received(self, event: SecurityEvent) -> str:
        return columns.moment(event.received_at)


class Ends(admin.SimpleListFilter):
    title = "end"
    parameter_name = "ends"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("over", "Expired"), ("soon", "Within 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
        now = utcnow()
        if self.value() == "over":
            return queryset.filter(expires_at__lt=now)
        if self.value() == "soon":
            return queryset.filter(expires_at__range=(now, now + timedelta(days=30)))
        return queryset


@admin.action(description="Withdraw selected certificates", permissions=["decide"])
def withdraw(page: "CertificateAdmin", request: HttpRequest, queryset: QuerySet[Certificate]) -> None:
    for row in _chargers_own(page, request, queryset):
        certificates.withdraw(row)
        page.log_change(request, row, "Withdrawn.")
        page.message_user(request, f"{row} opens the door no more.", messages.SUCCESS)


@admin.action(description="Reinstate selected certificates", permissions=["decide"])
def reinstate(page: "CertificateAdmin", request: HttpRequest, queryset: QuerySet[Certificate]) -> None:
    for row in _chargers_own(page, request, queryset, readable=True):
        certificates.reinstate(row)
        page.log_change(request, row, "Reinstated.")
        page.message_user(request, f"{row} opens the door again.", messages.SUCCESS)


def _chargers_own(
    page: "CertificateAdmin",
    request: HttpRequest,
    queryset: QuerySet[Certificate],
    *,
    readable: bool = False,
) -> Iterator[Certificate]:
    """Those that are a charger's own, and known to us as a whole if so wished; of the others the operator is told."""
    for row in queryset.select_related("charger"):
        if row.kind == Certificate.Kind.CHARGE_POINT and (row.pem or not readable):
            yield row
        else:
            page.message_user(request, f"{row} is not a charger's own certificate.", messages.WARNING)


@admin.action(description="Delete from the charger…", permissions=["send_delete_certificate"])
def delete_from_charger(
    page: "CertificateAdmin", request: HttpRequest, queryset: QuerySet[Certificate]
) -> HttpResponse | None:
    rows: list[Certificate] = chosen(page, request, queryset.select_related("charger"))
    if rows and "confirmed" not in request.POST:
        return confirmation(
            page,
            request,
            [(row, kind_of(row)) for row in rows],
            name="delete_from_charger",
            title="Delete from the charger",
            warning="A charger without the root of the central system can no longer connect over TLS; one without its"
            " manufacturer's installs no signed firmware.",
        )
    wishes, refused = [], Refused()
    for row in rows:
        try:
            wishes.append((row.charger, commands.DELETE_CERTIFICATE, deletion(row)))
        except DomainError as error:
            refused.add(row, error)
    refused.tell(page, request)
    return send_each(page, request, wishes)


@admin.register(Certificate)
class CertificateAdmin(Facts):
    actions = (withdraw, reinstate, delete_from_charger)
    list_display = ("name", "charger_link", "kind_shown", "badge", "ends", "created", "detail")
    list_filter = (narrowed(Charger, "charger"), "state", "kind", Ends)
    list_select_related = ("charger",)
    search_fields = ("charger__identity", "charger__serial_number", "subject", "fingerprint", "serial_number")
    search_help_text = "Identity or serial number of the charger, subject, fingerprint, serial number"
    fieldsets = (
        (None, {"fields": ("charger_link", "kind_shown", "badge", "detail")}),
        ("Certificate", {"fields": ("subject", "ends", "fingerprint", "serial_number", "text")}),
        (
            "As a charger names it",
            {"classes": ("collapse",), "fields": ("hash_algorithm", "issuer_name_hash", "issuer_key_hash")},
        ),
        ("When", {"fields": ("created", "changed", "asked")}),
        ("What was asked for", {"classes": ("collapse",), "fields": ("request_text",)}),
    )

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """To withdraw one is to decide who may connect: as for chargers."""
        return request.user.has_perm("chargers.change_charger")

    @admin.display(description="certificate", ordering="subject")
    def name(self, row: Certificate) -> str:
        return row.subject or row.serial_number or "not signed yet"

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, row: Certificate) -> str:
        return columns.to_page(row.charger)

    @admin.display(description="kind", ordering="kind")
    def kind_shown(self, row: Certificate) -> str:
        return kind_of(row)

    @admin.display(description="state", ordering="state")
    def badge(self, row: Certificate) -> str:
        return columns.badge(row.state, tone=TONES.get(row.state, ""))

    @admin.display(description="ends", ordering="expires_at")
    def ends(self, row: Certificate) -> str:
        return columns.moment(row.expires_at)

    @admin.display(description="since", ordering="created_at")
    def created(self, row: Certificate) -> str:
        return columns.moment(row.created_at)

    @admin.display(description="changed")
    def changed(self, row: Certificate) -> str:
        return columns.moment(row.updated_at)

    @admin.display(description="authority last asked")
    def asked(self, row: Certificate) -> str:
        return columns.moment(row.asked_at)

    @admin.display(description="PEM")
    def text(self, row: Certificate) -> str:
        return _text(row.pem)

    @admin.display(description="signing request")
    def request_text(self, row: Certificate) -> str:
        return _text(row.signing_request)


def _text(text: str) -> str:
    return format_html('<pre class="ev-json">{}</pre>', text) if text else columns.NOTHING
