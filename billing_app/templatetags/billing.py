"""Money on pages, to its last place."""

from decimal import Decimal

from django import template

from billing_app.endings import ENDINGS
from billing_app.models import TransactionKind
from billing_app.services.ledger import EFFECTS

register = template.Library()

_CENT = Decimal("0.01")


@register.filter
def exact_usd(amount: Decimal) -> str:
    """Return ``amount`` with every place that it has, at least two: ``$0.0000021``, ``-$3.00``."""
    digits = amount.normalize()
    if -digits.as_tuple().exponent < 2:  # type: ignore[operator]
        digits = digits.quantize(_CENT)
    return f"{'-' if digits < 0 else ''}${abs(digits):,f}"


@register.filter
def balance_change(entry: object) -> str:
    """Return what a ledger entry did to the balance, with its sign; empty when it only froze or thawed money."""
    kind: str = entry.kind  # type: ignore[attr-defined]
    amount: Decimal = entry.amount * EFFECTS[TransactionKind(kind)][0]  # type: ignore[attr-defined]
    if not amount:
        return ""
    return f"+{exact_usd(amount)}" if amount > 0 else exact_usd(amount)


@register.filter
def ending_words(code: str) -> str:
    """Return the words for an ending's code; any other text unchanged."""
    return str(ENDINGS.get(code, code))
