"""Usage records: one for each model call, with the day's roll-up kept in the same transaction."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, tenant_or_nobody
from billing_app.contracts import ZERO, PriceRef, TokenBuckets, UsageEntry
from billing_app.exceptions import KeyConflict
from billing_app.models import UsageRecord
from billing_app.services.amounts import amount_checked
from billing_app.signals import usage_recorded

_ROLL_UP = """
INSERT INTO usage_daily (organization_id, day, model, calls, input_tokens, output_tokens, cost_usd, charged_usd)
VALUES (%s, %s, %s, 1, %s, %s, %s, %s)
ON CONFLICT (organization_id, day, model) DO UPDATE SET
    calls = usage_daily.calls + 1,
    input_tokens = usage_daily.input_tokens + excluded.input_tokens,
    output_tokens = usage_daily.output_tokens + excluded.output_tokens,
    cost_usd = usage_daily.cost_usd + excluded.cost_usd,
    charged_usd = usage_daily.charged_usd + excluded.charged_usd
"""


def usage_record(
    *,
    call_id: UUID,
    model: str,
    provider: str,
    price: PriceRef,
    tokens: TokenBuckets,
    cost_usd: Decimal,
    charged_usd: Decimal,
    ending: str,
    task_id: UUID | None = None,
    run_id: UUID | None = None,
    step_key: str = "",
    prompt_version_id: UUID | None = None,
    meta: dict[str, Any] | None = None,
    organization_id: UUID | None = None,
    user_id: UUID | None = None,
) -> UsageEntry:
    """Record one model call, exactly once, and return it; the same call again returns the stored record.

    Settle in one transaction, capture first: `hold_capture` (with ``billing_ref_id`` = the call's id), then this. So
    locks are always taken in the same order, and a snapshot never sees a charge without its usage. ``cost_usd`` is what
    the tokens are worth by ``price``, ``charged_usd`` what was captured. ``organization_id`` and ``user_id`` are the
    bound tenant's unless given (an operator context has none). Raises KeyConflict when the call was recorded with other
    figures, TenantRequired. Queries: 2 in a transaction.
    """
    record = UsageRecord(
        organization_id=organization_id or current_organization_id(),
        user_id=user_id or tenant_or_nobody().user_id,
        task_id=task_id,
        run_id=run_id,
        step_key=step_key,
        prompt_version_id=prompt_version_id,
        call_id=call_id,
        provider=provider,
        model=model,
        ending=ending,
        uncached_input_tokens=tokens.input,
        cached_input_tokens=tokens.cached_input,
        cache_write_tokens=tokens.cache_write,
        visible_output_tokens=tokens.output,
        reasoning_tokens=tokens.reasoning,
        price_id=price.id,
        cost_usd=amount_checked(cost_usd, field="cost_usd", least=ZERO),
        charged_usd=amount_checked(charged_usd, field="charged_usd", least=ZERO),
        trace_id=current_trace_id(),
        meta=meta or {},
    )
    try:
        with transaction.atomic():
            return _record(record)
    except IntegrityError:
        with transaction.atomic():
            stored = UsageRecord.objects.filter(call_id=call_id).first()
        if stored is None:
            raise
    return _replay(stored, record)


def usage_day(moment: datetime) -> date:
    """Return the day of the roll-up that ``moment`` belongs to: days are UTC, wherever server and reader are."""
    return moment.astimezone(UTC).date()


def _record(record: UsageRecord) -> UsageEntry:
    record.save(force_insert=True)
    day = usage_day(record.created_at)
    totals = (record.tokens.input_total, record.tokens.output_total, record.cost_usd, record.charged_usd)
    with connection.cursor() as cursor:
        cursor.execute(_ROLL_UP, (record.organization_id, day, record.model, *totals))
    entry = record.entry()
    usage_recorded.send(sender=UsageRecord, usage=entry, task_id=entry.task_id, run_id=entry.run_id)
    return entry


def _replay(stored: UsageRecord, asked: UsageRecord) -> UsageEntry:
    same = ("organization_id", "model", "provider", "ending", "cost_usd", "charged_usd", "tokens", "task_id", "run_id")
    if any(getattr(stored, name) != getattr(asked, name) for name in same):
        raise KeyConflict
    return stored.entry()
