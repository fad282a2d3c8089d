"""What an answer says in headers of its call: model, money, what is left of the rate limits."""

from decimal import Decimal

from gateway_app.contracts import Settlement
from gateway_app.services.call import Call
from gateway_app.v1.errors import Headers


def usd(amount: Decimal) -> str:
    """Return an amount of USD as this API writes it: a decimal number with ten places."""
    return f"{amount:.10f}"


def of_call(call: Call, settlement: Settlement | None = None) -> Headers:
    """Return what is known of a call that is held for: with ``settlement`` also what it cost."""
    balance = settlement.balance_usd if settlement else call.balance_usd
    headers = [
        (b"x-deepspace-model", call.model_key.encode("ascii", "replace")),
        (b"x-deepspace-hold", usd(call.hold_usd).encode()),
    ]
    if settlement is not None:
        headers.append((b"x-deepspace-cost", usd(settlement.charged_usd).encode()))
    if balance is not None:
        headers.append((b"x-deepspace-balance", usd(balance).encode()))
    return headers


def of_limits(call: Call) -> Headers:
    """Return what is left of the rate limits; nothing where there are none."""
    if call.allowance is None:
        return []
    return [(name.encode(), value.encode()) for name, value in call.allowance.headers().items()]
