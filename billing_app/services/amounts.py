"""Amounts of money: USD as `Decimal`, ten places, never a float."""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, localcontext

from django.conf import settings
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput

PLACES = Decimal("0.0000000001")
# numeric(20, 10) has ten digits before the point.
LIMIT = Decimal(10) ** 10


def amount_checked(amount: Decimal, *, field: str = "amount", least: Decimal = PLACES) -> Decimal:
    """Return ``amount`` (USD) with ten places; it is never rounded.

    Raises TypeError for anything but a Decimal, InvalidInput when it is not finite, below ``least``, 10 billion or
    more, or has more than ten decimal places.
    """
    if type(amount) is not Decimal:
        raise TypeError(f"{field} must be a Decimal, not {type(amount).__name__}.")
    if not amount.is_finite() or abs(amount) >= LIMIT:
        raise InvalidInput.for_field(field, _("This is not an amount of money."))
    exact = amount.quantize(PLACES)
    if exact != amount:
        raise InvalidInput.for_field(field, _("An amount has at most ten decimal places."))
    if exact < least:
        raise InvalidInput.for_field(field, _("The amount is too small."))
    return exact


def amount_rounded(amount: Decimal) -> Decimal:
    """Return ``amount`` (USD) rounded half up to ten places: once, at the end of a calculation."""
    with localcontext(prec=60):
        return amount.quantize(PLACES, rounding=ROUND_HALF_UP)


def credits_of(amount: Decimal) -> int:
    """Return ``amount`` (USD) in whole credits of `CREDIT_USD`, rounded up."""
    credit: Decimal = settings.CREDIT_USD
    with localcontext(prec=60):
        return int((amount / credit).to_integral_value(rounding=ROUND_CEILING))
