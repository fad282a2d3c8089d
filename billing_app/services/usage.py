"""Usage records: one for each model call, with the roll-ups kept in the same statement."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, tenant_or_nobody
from billing_app.contracts import ZERO, PriceRef, TokenBuckets, UsageEntry
from billing_app.exceptions import KeyConflict
from billing_app.models import UsageRecord
from billing_app.services import ledger
from billing_app.services.amounts import amount_checked
from billing_app.signals import usage_recorded


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
    project_id: UUID | None = None,
    api_key_id: UUID | None = None,
    endpoint: str = "",
    meta: dict[str, Any] | None = None,
    organization_id: UUID | None = None,
    user_id: UUID | None = None,
) -> UsageEntry:
    """Record one model call, exactly once, and return it; the same call again returns the stored record.

    Settle in one transaction, capture first: `hold_capture` (with ``billing_ref_id`` = the call's id), then this. So
    locks are always taken in the same order, and a snapshot never sees a charge without its usage. ``cost_usd`` is what
    the tokens are worth by ``price``, ``charged_usd`` what was captured. ``organization_id`` and ``user_id`` are the
    bound tenant's unless given (an operator context has none). Raises KeyConflict when the call was recorded with other
    figures, TenantRequired. One query.
    """
    record = UsageRecord(
        id=call_id,
        organization_id=organization_id or current_organization_id(),
        user_id=user_id or tenant_or_nobody().user_id,
        project_id=project_id,
        api_key_id=api_key_id,
        task_id=task_id,
        run_id=run_id,
        step_key=step_key,
        prompt_version_id=prompt_version_id,
        endpoint=endpoint,
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
        created_at=timezone.now(),
    )
    with transaction.atomic():
        if ledger.function_call("usage_insert", **_fields(record))["outcome"] == "exists":
            return _replay(record)
        entry = record.entry()
        usage_announce(entry)
    return entry


def usage_announce(entry: UsageEntry) -> None:
    """Tell the rooms above of a call just recorded, in the transaction that records it."""
    usage_recorded.send(sender=UsageRecord, usage=entry, task_id=entry.task_id, run_id=entry.run_id)


def usage_day(moment: datetime) -> date:
    """Return the day of the roll-up that ``moment`` belongs to: days are UTC, wherever server and reader are."""
    return moment.astimezone(UTC).date()


def _fields(record: UsageRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "organization": record.organization_id,
        "user": record.user_id,
        "project": record.project_id,
        "api_key": record.api_key_id,
        "task": record.task_id,
        "run": record.run_id,
        "step_key": record.step_key,
        "prompt_version": record.prompt_version_id,
        "endpoint": record.endpoint,
        "provider": record.provider,
        "model": record.model,
        "ending": record.ending,
        "uncached_input_tokens": record.uncached_input_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "visible_output_tokens": record.visible_output_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "price": record.price_id,
        "cost_usd": record.cost_usd,
        "charged_usd": record.charged_usd,
        "meta": record.meta,
        "created_at": record.created_at.isoformat(),
    }


def _replay(asked: UsageRecord) -> UsageEntry:
    stored = UsageRecord.objects.filter(pk=asked.pk).first()
    same = ("organization_id", "model", "provider", "ending", "cost_usd", "charged_usd", "tokens", "task_id", "run_id")
    if stored is None or any(getattr(stored, name) != getattr(asked, name) for name in same):
        raise KeyConflict
    return stored.entry()
