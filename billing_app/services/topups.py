"""Money that owners put in by themselves, and refunds that people ask for over the API.

Who may: an operator always (a staff member who may change wallets). An owner or admin for the organization's own
wallet, and only while WALLET_SELF_TOPUP is on, for then they could credit themselves as well; where it is off, money
is the operators' matter.
"""

from contextlib import nullcontext
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.services.audit import audit_record
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, current_tenant, operator_context
from billing_app.contracts import WalletSummary
from billing_app.exceptions import TopupRefused
from billing_app.models import Hold
from billing_app.services.amounts import amount_checked
from billing_app.services.holds import capture_refund
from billing_app.services.wallets import wallet_topup

LEAST = Decimal("0.01")
MOST = Decimal(10_000)
# Keys of top-ups that came over the API begin so; pages and commands have theirs.
API, PAGE = "api:", "page:"


def topup_self(*, amount: Decimal, key: str, note: str = "") -> WalletSummary:
    """Put ``amount`` USD (LEAST to MOST) into the caller's own organization's wallet; once for each ``key``.

    Raises PermissionRefused for roles that do not manage money, TopupRefused where only operators may, InvalidInput for
    the amount, KeyConflict for a key used otherwise.
    """
    topup_allowed()
    exact = amount_checked(amount)
    if not LEAST <= exact <= MOST:
        message = _("A top-up is between %(least)s and %(most)s USD.") % {"least": LEAST, "most": f"{MOST:,}"}
        raise InvalidInput.for_field("amount", message)
    return wallet_topup(organization_id=current_organization_id(), amount=exact, key=key, note=note)


def topup_allowed() -> None:
    """Return if the caller may top up; raises PermissionRefused or TopupRefused."""
    if not can_manage(current_tenant()):
        raise PermissionRefused
    if not settings.WALLET_SELF_TOPUP:
        raise TopupRefused


def refund_asked(*, hold_id: UUID, amount: Decimal, key: str, note: str, is_operator: bool) -> Decimal:
    """Pay ``amount`` USD of a captured hold back to its wallet, and return it; once for each ``key``.

    ``is_operator``: the caller may change wallets, and so reaches any organization's hold. Raises PermissionRefused,
    TopupRefused, NotFound for another's hold, OverRefund, KeyConflict.
    """
    if not is_operator:
        topup_allowed()
    with operator_context("refund") if is_operator else nullcontext():
        if not is_operator and not Hold.objects.filter(organization_id=current_organization_id(), pk=hold_id).exists():
            raise NotFound
        refunded = capture_refund(hold_id=hold_id, amount=amount_checked(amount), key=key, note=note)
    data = {"amount": str(refunded), "note": note, "by_operator": is_operator}
    audit_record(action="wallet.refund", target_type="hold", target_id=hold_id, data=data)
    return refunded
