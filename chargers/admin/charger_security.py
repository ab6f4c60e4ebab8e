"""What a charger's own page says of its security, and what an operator can do about it there."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from chargers import authority, certificates, commands, passwords, security
from chargers.admin import columns
from chargers.admin.orders import Order, OrderForm
from chargers.admin.pages import Page
from chargers.admin.sending import Refused, answers, back, chosen, confirmation, send_to
from chargers.commands import ask
from chargers.errors import DomainError
from chargers.models import Certificate, Charger, Command, ConnectionRefusal, SecurityEvent, SecurityProfile

LATEST = 5


class SecurityOfCharger:
    """The part of the page of chargers that shows who was let in, who was not, and what was noticed."""

    security_fields = ("security_now", "security_profile", "refused", "held_certificates", "noticed")
    security_readonly = ("security_now", "refused", "held_certificates", "noticed")

    @admin.display(description="now")
    def security_now(self, charger: Charger) -> str:
        required = SecurityProfile(security.required_profile(charger))
        used = SecurityProfile(charger.used_security_profile)
        parts = [
            f"must connect with at least: {required.label}",
            f"connected at best with: {used.label}",
        ]
        if charger.next_password_hash:
            parts.append("a new password is on its way: until it comes with it, the old one counts too")
        return columns.links(*parts)

    @admin.display(description="refused connections")
    def refused(self, charger: Charger) -> str:
        rows = ConnectionRefusal.objects.filter(identity=charger.identity).order_by("-last_at")[:LATEST]
        return columns.table(
            ["Why", "From", "Times", "Last", "What to do"],
            [[reason_of(row), row.address, row.count, columns.ago(row.last_at), row.detail] for row in rows],
            empty="None",
        )

    @admin.display(description="certificates")
    def held_certificates(self, charger: Charger) -> str:
        rows = charger.certificates.exclude(state=Certificate.State.DELETED)[:LATEST]
        return columns.joined(
            columns.table(
                ["Certificate", "Kind", "State", "Ends"],
                [
                    [
                        columns.to_page(row, row.subject or "One of which only the hash is known"),
                        kind_of(row),
                        columns.badge(row.state, tone=TONES.get(row.state, "")),
                        columns.moment(row.expires_at),
                    ]
                    for row in rows
                ],
                empty="None known.",
            ),
            columns.to_list("chargers.certificate", "All of them", charger=charger.pk),
        )

    @admin.display(description="security events")
    def noticed(self, charger: Charger) -> str:
        events = SecurityEvent.objects.filter(charger=charger)
        count, critical = events.count(), events.filter(is_critical=True).count()
        if not count:
            return "None"
        text = f"{columns.counted(count, 'event')}, {critical} critical"
        return columns.to_list("chargers.securityevent", text, charger=charger.pk)


TONES = {"installed": "good", "rejected": "bad", "requested": "wait", "sent": "wait"}


def reason_of(row: ConnectionRefusal) -> str:
    return row.reason.replace("_", " ")


KINDS = {
    Certificate.Kind.CHARGE_POINT: "its own",
    Certificate.Kind.CENTRAL_SYSTEM_ROOT: "root of the central system",
    Certificate.Kind.MANUFACTURER_ROOT: "root of the manufacturer",
}


def kind_of(row: Certificate) -> str:
    return KINDS[Certificate.Kind(row.kind)]


# --- actions ---


def send_each(
    page: Page, request: HttpRequest, wishes: Iterable[tuple[Charger, str, dict[str, Any]]]
) -> HttpResponse | None:
    """Send each (charger, word, parameters)."""
    sent: list[Command] = []
    refused, chargers = Refused(), []
    for charger, action, params in wishes:
        chargers.append(charger)
        try:
            command = ask(
                charger=charger,
                action=action,
                params=params,
                requested_by=request.user,
            )
        except DomainError as error:
            refused.add(charger, error)
        else:
            sent.append(command)
    refused.tell(page, request)
    return answers(request, sent) or (back(request, chargers) if chargers else None)


@admin.action(description="New password…", permissions=["send_change_configuration"])
def new_password(page: Page, request: HttpRequest, queryset: QuerySet[Charger]) -> HttpResponse | None:
    """Shown to nobody: nobody needs to know it."""
    chargers = chosen(page, request, queryset)
    if chargers and "confirmed" not in request.POST:
        return confirmation(
            page,
            request,
            [(charger, columns.online(charger)) for charger in chargers],
            name="new_password",
            title="New password",
            warning="Each gets a random one of its own (AuthorizationKey), which is shown to nobody, and connects anew"
            " with it. Until it has, the old one counts too.",
        )
    return send_each(
        page,
        request,
        (
            (
                charger,
                commands.CHANGE_CONFIGURATION,
                {"key": "AuthorizationKey", "value": passwords.new_authorization_key()},
            )
            for charger in chargers
        ),
    )


@admin.action(description="Renew certificate", permissions=["send_extended_trigger_message"])
def renew_certificate(page: Page, request: HttpRequest, queryset: QuerySet[Charger]) -> HttpResponse | None:
    if not authority.can_sign():
        page.message_user(
            request, "There is no authority: set CA_CERTIFICATE and CA_KEY, or CA_URL.", messages.ERROR
        )
        return None
    params = {"message": certificates.TRIGGER}
    chargers = chosen(page, request, queryset)
    wishes = ((charger, commands.EXTENDED_TRIGGER_MESSAGE, params) for charger in chargers)
    return send_each(page, request, wishes)


ROOTS = [(kind.value, label) for kind, label in KINDS.items() if kind != Certificate.Kind.CHARGE_POINT]


class RootForm(OrderForm):
    certificate_type = forms.ChoiceField(label="Kind", choices=ROOTS)
    certificate = forms.CharField(
        label="Certificate", widget=forms.Textarea(attrs={"rows": 12}), max_length=5500, help_text="PEM"
    )


INSTALL = Order("install_certificate", "Install root certificate", commands.INSTALL_CERTIFICATE, RootForm)


@admin.action(description=INSTALL.title, permissions=["send_install_certificate"])
def install_certificate(page: Page, request: HttpRequest, queryset: QuerySet[Charger]) -> HttpResponse | None:
    return send_to(page, request, queryset, INSTALL)


@admin.action(description="List certificates", permissions=["send_get_installed_certificate_ids"])
def list_certificates(page: Page, request: HttpRequest, queryset: QuerySet[Charger]) -> HttpResponse | None:
    """Which roots it keeps, of both kinds."""
    chargers = chosen(page, request, queryset)
    wishes = (
        (charger, commands.GET_INSTALLED_CERTIFICATE_IDS, {"certificate_type": kind})
        for charger in chargers
        for kind, _ in ROOTS
    )
    return send_each(page, request, wishes)


@admin.action(description="Allow it to begin again at a lower profile…", permissions=["change"])
def begin_lower(page: Page, request: HttpRequest, queryset: QuerySet[Charger]) -> HttpResponse | None:
    chargers: list[Charger] = chosen(page, request, queryset)
    if chargers and "confirmed" not in request.POST:
        return confirmation(
            page,
            request,
            [
                (charger, f"used {SecurityProfile(charger.used_security_profile).label}")
                for charger in chargers
            ],
            name="begin_lower",
            title="Allow a lower profile",
            warning="Whoever knows the identity may then connect with no more than what is set on the charger's page."
            " Do it for a charger that was reset or exchanged.",
        )
    for charger in chargers:
        used = SecurityProfile(security.begin_lower(charger))
        page.log_change(request, charger, f"Allowed to begin again below security profile {used.label}.")
        page.message_user(request, f"{charger} may begin again at a lower profile.", messages.SUCCESS)
    return back(request, chargers) if chargers else None
