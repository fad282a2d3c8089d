from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from billing_app.contracts import PriceRef, TokenBuckets
from gateway_app.contracts import Ending
from gateway_app.services.charging import RULES, charge_for

ONE = Decimal(1)
PRICE = PriceRef(uuid4(), "m", input=ONE, cached_input=ONE / 4, cache_write=ONE * 2, output=ONE * 4, reasoning=ONE * 4)
REPORTED, DELIVERED, NOTHING = TokenBuckets(input=1000, output=500), TokenBuckets(input=80, output=20), TokenBuckets()
REPORTED_USD, DELIVERED_USD = Decimal("0.003"), Decimal("0.00016")

# ending, reported, delivered → tokens, cost, due
TABLE = [
    (Ending.COMPLETED, REPORTED, DELIVERED, REPORTED, REPORTED_USD, REPORTED_USD),
    (Ending.NO_USAGE, None, DELIVERED, DELIVERED, DELIVERED_USD, DELIVERED_USD),
    (Ending.CLIENT_GONE, None, DELIVERED, DELIVERED, DELIVERED_USD, DELIVERED_USD),
    (Ending.CLIENT_GONE, REPORTED, DELIVERED, REPORTED, REPORTED_USD, REPORTED_USD),
    (Ending.CLIENT_GONE, None, NOTHING, NOTHING, 0, 0),
    (Ending.UPSTREAM_CUT, None, DELIVERED, DELIVERED, DELIVERED_USD, DELIVERED_USD),
    (Ending.UPSTREAM_CUT, REPORTED, DELIVERED, REPORTED, REPORTED_USD, REPORTED_USD),
    (Ending.TIMEOUT, None, NOTHING, NOTHING, 0, 0),
    (Ending.TIMEOUT, None, DELIVERED, DELIVERED, DELIVERED_USD, DELIVERED_USD),
    (Ending.ZERO_OUTPUT, REPORTED, NOTHING, REPORTED, REPORTED_USD, 0),
    (Ending.ZERO_OUTPUT, None, NOTHING, NOTHING, 0, 0),
    (Ending.REFUSED, REPORTED, DELIVERED, NOTHING, 0, 0),
    (Ending.NO_FUNDS, None, DELIVERED, DELIVERED, DELIVERED_USD, DELIVERED_USD),
    (Ending.WORKER_KILLED, REPORTED, DELIVERED, REPORTED, REPORTED_USD, REPORTED_USD),
    (Ending.WORKER_KILLED, None, DELIVERED, NOTHING, 0, 0),
]


@pytest.mark.parametrize(("ending", "reported", "delivered", "tokens", "cost", "due"), TABLE)
def test_each_ending_is_charged_by_its_rule(
    ending: Ending,
    reported: TokenBuckets | None,
    delivered: TokenBuckets,
    tokens: TokenBuckets,
    cost: Decimal,
    due: Decimal,
) -> None:
    charge = charge_for(ending, reported=reported, delivered=delivered, price=PRICE)
    assert (charge.tokens, charge.cost_usd, charge.due_usd) == (tokens, cost, due)


def test_every_ending_has_a_rule_and_a_line_in_the_document() -> None:
    document = Path("docs/charging.md").read_text()
    assert set(RULES) == set(Ending)
    assert all(f"| `{ending.value}` |" in document for ending in Ending)


def test_price_per_request_is_due_where_something_came() -> None:
    price = PriceRef(uuid4(), "m", ONE, ONE, ONE, ONE, ONE, per_request=ONE)

    def due(ending: Ending, reported: TokenBuckets | None = None, images: int = 0) -> Decimal:
        return charge_for(ending, reported=reported, delivered=NOTHING, price=price, images=images).due_usd

    assert due(Ending.REFUSED) == due(Ending.REFUSED, images=1) == due(Ending.CLIENT_GONE) == 0
    assert due(Ending.COMPLETED, TokenBuckets(input=1)) > 1
    # A path that is priced per request reports no tokens.
    assert due(Ending.COMPLETED, NOTHING) == due(Ending.NO_USAGE) == 1
    assert due(Ending.UPSTREAM_CUT, images=1) == 1
