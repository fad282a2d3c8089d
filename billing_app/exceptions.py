"""Errors of this room; see accounts_app.exceptions for their frame."""

from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict, DeepSpaceError


class InsufficientFunds(DeepSpaceError):
    """The wallet's available sum does not cover the amount."""

    code = "insufficient_funds"
    status = 402
    default_message = _("The wallet does not hold enough for this. Ask an operator to top it up.")


class ModelNotPriced(DeepSpaceError):
    """No price of this model is in force, so a call could not be charged."""

    code = "model_not_priced"
    default_message = _("This model has no price yet.")


class KeyConflict(Conflict):
    """The idempotency key was used before, for something else. Trying again cannot help."""

    code = "idempotency_conflict"
    default_message = _("This idempotency key was used for something else.")


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
