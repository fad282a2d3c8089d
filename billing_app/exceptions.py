"""Errors of this room; see accounts_app.exceptions for their frame."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict, DeepSpaceError, PermissionRefused
from billing_app.contracts import ZERO


class InsufficientFunds(DeepSpaceError):
    """The wallet's available sum does not cover the amount."""

    code = "insufficient_funds"
    status = 402
    default_message = _("The wallet does not hold enough for this. Ask an operator to top it up.")


class BudgetExceeded(DeepSpaceError):
    """A budget has no room for the amount. ``scope`` and ``on_exceed`` are those of the budget, money in USD."""

    code = "budget_exceeded"
    status = 402
    default_message = _("A budget has been used up. Ask an owner or admin of the organization to raise it.")

    budget_id: UUID | None = None
    scope: str = ""
    on_exceed: str = ""
    limit: Decimal = ZERO
    left: Decimal = ZERO

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "BudgetExceeded":
        """Return the error that a ledger function's answer speaks of."""
        error = cls()
        error.budget_id, error.scope, error.on_exceed = UUID(answer["budget"]), answer["scope"], answer["on_exceed"]
        error.limit, error.left = Decimal(answer["limit"]), Decimal(answer["left"])
        return error


class ModelNotPriced(DeepSpaceError):
    """No price of this model is in force, so a call could not be charged."""

    code = "model_not_priced"
    default_message = _("This model has no price yet.")


class KeyConflict(Conflict):
    """The idempotency key was used before, for something else. Trying again cannot help."""

    code = "idempotency_conflict"
    default_message = _("This idempotency key was used for something else.")
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "false"}


class KeyInUse(Conflict):
    """A request with this idempotency key is being carried out; its answer can be had in a moment."""

    code = "idempotency_in_progress"
    default_message = _("A request with this idempotency key is being carried out. Ask again in a moment.")
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class TopupRefused(PermissionRefused):
    """Here only operators put money into wallets."""

    code = "topup_disabled"
    default_message = _("Here the operators put money into wallets. Ask them for a top-up.")


class HoldResolved(Conflict):
    """The hold was captured, released or expired already; a hold resolves once."""

    code = "hold_resolved"
    default_message = _("This hold has been resolved already.")


class OverCapture(Conflict):
    """More was to be captured than is held."""

    code = "over_capture"
    default_message = _("More cannot be captured than was held.")


class OverRefund(Conflict):
    """More was to be refunded than was captured and not yet refunded."""

    code = "over_refund"
    default_message = _("More cannot be refunded than was captured.")
