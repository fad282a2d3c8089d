from decimal import Decimal

from billing_app.services.budgets import budget_set
from gateway_app.services.limits import rate_limit_set
from tests.factories.accounts import Person
from tests.factories.replay import Replay, owned_object


@owned_object("api/billing/budgets/<uuid:budget_id>")
def budget(owner: Person) -> Replay:
    with owner.at_work():
        made = budget_set(scope="organization", period="month", limit_usd=Decimal(5))
    return Replay({"budget_id": made.id}, body={"limit_usd": "6"})


@owned_object("api/rate-limits/<uuid:limit_id>")
def rate_limit(owner: Person) -> Replay:
    with owner.at_work():
        return Replay(
            {"limit_id": rate_limit_set(scope="organization", requests_per_minute=60).id},
            body={"requests_per_minute": 70},
        )
