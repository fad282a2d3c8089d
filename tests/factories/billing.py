"""Organizations with money, prices and calls."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts_app.services.users import user_create
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.contracts import BudgetRef, HoldRef, PriceRef, TokenBuckets, UsageEntry
from billing_app.models import Price, Wallet
from billing_app.services.budgets import budget_set
from billing_app.services.holds import hold_capture, wallet_hold
from billing_app.services.prices import price_set
from billing_app.services.usage import usage_record
from billing_app.services.wallets import wallet_topup
from tests.factories.accounts import Person

USD = Decimal


def organization_with(amount: str = "0", email: str = "") -> UUID:
    """Return a new person's organization with ``amount`` USD in its wallet."""
    user = user_create(email=email or f"{uuid.uuid4().hex}@example.com")
    with operator_atomic("factory"):
        organization_id = Wallet.objects.get(user_id=user.pk).organization_id
    if Decimal(amount):
        topped_up(organization_id, amount)
    return organization_id


def topped_up(organization_id: UUID, amount: str, *, key: str = "factory", note: str = "") -> None:
    """Put ``amount`` USD into the organization's wallet."""
    with operator_atomic("factory"):
        wallet_topup(organization_id=organization_id, amount=Decimal(amount), key=key, note=note)


def budget_of(owner: Person, limit: str, **fields: Any) -> BudgetRef:
    """Return a budget of the owner's organization, per month and for all unless ``fields`` say otherwise."""
    values: dict[str, Any] = {"scope": "organization", "period": "month"} | fields
    with owner.at_work():
        return budget_set(limit_usd=Decimal(limit), **values)


def hold_of(organization_id: UUID, amount: str, *, ref: str = "", seconds: int = 600, **whose: UUID | None) -> HoldRef:
    """Return a new hold; a tenant or operator context must be bound. ``whose`` is project_id, api_key_id."""
    return wallet_hold(
        organization_id=organization_id,
        amount=Decimal(amount),
        key=uuid.uuid4().hex,
        billing_ref_id=ref or str(uuid.uuid4()),
        expires_in=timedelta(seconds=seconds),
        **whose,
    )


def price_of(model_key: str = "", *, since: datetime = datetime(2026, 1, 1, tzinfo=UTC), **rates: str) -> PriceRef:
    """Return a price, of a new model unless named."""
    if model_key and (known := Price.objects.filter(model_key=model_key, effective_from=since).first()):
        return known.ref()
    chosen: dict[str, Any] = {name: Decimal(rate) for name, rate in ({"input": "1", "output": "2"} | rates).items()}
    with operator_atomic("factory"):
        return price_set(
            model_key=model_key or f"model-{uuid.uuid4().hex[:12]}",
            effective_from=since,
            source="a price list",
            **chosen,
        )


def usage_of(organization_id: UUID, price: PriceRef, **fields: Any) -> UsageEntry:
    """Record a call of the organization, in a transaction of its own."""
    values: dict[str, Any] = {
        "call_id": uuid.uuid4(),
        "model": price.model_key,
        "provider": "scripted",
        "price": price,
        "tokens": TokenBuckets(input=100, output=50),
        "cost_usd": Decimal("0.0002"),
        "charged_usd": Decimal(0),
        "ending": "completed",
    }
    with tenant_atomic(organization_id):
        return usage_record(**(values | fields))


def spend(
    somebody: Person,
    amount: str,
    *,
    model: str = "",
    tokens: TokenBuckets | None = None,
    cost: str = "",
    **fields: Any,
) -> UUID:
    """Make one model call of ``amount`` USD, from hold to record, and return its id; ``fields`` go on the record."""
    call_id = uuid.uuid4()
    with somebody.at_work():
        hold = hold_of(somebody.organization_id, "1", ref=str(call_id))
        hold_capture(hold_id=hold.id, amount=Decimal(amount), key=uuid.uuid4().hex)
    usage_of(
        somebody.organization_id,
        price_of(model),
        call_id=call_id,
        tokens=tokens or TokenBuckets(input=100, output=50),
        cost_usd=Decimal(cost or amount),
        charged_usd=Decimal(amount),
        **fields,
    )
    return call_id
