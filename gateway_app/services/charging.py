"""The charge rule: what each ending costs. docs/charging.md is the same table in words."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from billing_app.contracts import PriceRef, TokenBuckets
from billing_app.services.prices import price_cost
from gateway_app.contracts import Ending

NOTHING = TokenBuckets()
WHOLE = (Ending.COMPLETED, Ending.NO_USAGE)


class Basis(StrEnum):
    """Which tokens count. Reported: the provider's usage. Delivered: our estimate of what reached us."""

    REPORTED = "reported"
    REPORTED_OR_DELIVERED = "reported_or_delivered"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Rule:
    """The rule of one ending: the tokens that count, and whether the wallet pays for them."""

    basis: Basis
    is_charged: bool


RULES: dict[Ending, Rule] = {
    Ending.COMPLETED: Rule(Basis.REPORTED, is_charged=True),
    Ending.NO_USAGE: Rule(Basis.REPORTED_OR_DELIVERED, is_charged=True),
    Ending.CLIENT_GONE: Rule(Basis.REPORTED_OR_DELIVERED, is_charged=True),
    Ending.UPSTREAM_CUT: Rule(Basis.REPORTED_OR_DELIVERED, is_charged=True),
    Ending.NO_FUNDS: Rule(Basis.REPORTED_OR_DELIVERED, is_charged=True),
    Ending.TIMEOUT: Rule(Basis.REPORTED_OR_DELIVERED, is_charged=True),
    Ending.ZERO_OUTPUT: Rule(Basis.REPORTED, is_charged=False),
    Ending.REFUSED: Rule(Basis.NOTHING, is_charged=False),
    Ending.WORKER_KILLED: Rule(Basis.REPORTED, is_charged=True),
}


@dataclass(frozen=True)
class Charge:
    """``cost_usd`` is what the tokens are worth, ``due_usd`` what the wallet is asked for."""

    tokens: TokenBuckets
    cost_usd: Decimal
    due_usd: Decimal


def charge_for(
    ending: Ending,
    *,
    reported: TokenBuckets | None,
    delivered: TokenBuckets,
    price: PriceRef,
    images: int = 0,
    image_tier: str = "",
) -> Charge:
    """Return the charge of a call that ended so.

    ``reported`` is None when the provider reported no usage; ``delivered`` is empty when no output reached us;
    ``images`` counts those that arrived.
    """
    rule = RULES[ending]
    tokens = NOTHING if rule.basis is Basis.NOTHING else reported
    if tokens is None:
        tokens = delivered if rule.basis is Basis.REPORTED_OR_DELIVERED else NOTHING
    # An answer that came whole costs its request; one of which nothing came costs nothing at all.
    has_work = ending in WHOLE or (rule.basis is not Basis.NOTHING and bool(tokens.total or images))
    cost = price_cost(price, tokens, images=images, image_tier=image_tier) if has_work else Decimal(0)
    return Charge(tokens=tokens, cost_usd=cost, due_usd=cost if rule.is_charged else Decimal(0))
