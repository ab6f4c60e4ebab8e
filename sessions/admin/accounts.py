"""Django's page of users, with the end of a driver's account; and the list of accounts that were deleted."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from chargers.admin import columns, sending
from chargers.admin.pages import Facts
from chargers.errors import DomainError
from sessions import erasure
from sessions.models import ErasedAccount

_WARNING = (
    "Name, e-mail address and password are gone for good, the cards are blocked and all tokens end. "
    "What was charged stays, without a name. This cannot be undone."
)


@admin.action(description="Delete accounts, keep the ledger…", permissions=["erase"])
def erase_accounts(page: Any, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
    users = sending.chosen(page, request, queryset)
    if not users:
        return None
    if "confirmed" not in request.POST:
        return sending.confirmation(
            page,
            request,
            [(user, user.email) for user in users],
            name="erase_accounts",
            title="Delete accounts",
            warning=_WARNING,
        )
    assert isinstance(request.user, User)  # the admin's pages are for users
    refused = sending.Refused()
    erased = []
    for user in users:
        try:
            erased.append(str(erasure.erase(user_id=user.pk, erased_by=request.user)))
        except DomainError as error:
            refused.add(user, error)
    refused.tell(page, request)
    if erased:
        page.message_user(request, f"Deleted; in the ledger now: {', '.join(erased)}.", messages.SUCCESS)
    return None


admin.site.unregister(User)


@admin.register(User)
class AccountAdmin(UserAdmin):
    actions = (erase_accounts,)

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("charging.erase_account")


@admin.register(ErasedAccount)
class ErasedAccountAdmin(Facts):
    list_display = ("__str__", "erased", "by")
    list_select_related = ("erased_by",)
    readonly_fields = fields = ("user", "erased", "by")

    @admin.display(description="deleted", ordering="erased_at")
    def erased(self, account: ErasedAccount) -> str:
        return columns.moment(account.erased_at)

    @admin.display(description="by")
    def by(self, account: ErasedAccount) -> str:
        return columns.to_page(account.erased_by)
