"""Providers' own account of our requests, read in from files: by request, or in sums of a day and model."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.audit import audit_record
from billing_app.contracts import TokenBuckets
from billing_app.models import ProviderReport, ProviderReportRow
from billing_app.services.tables import Faults, Line, lines_of

_BATCH = 2000
_TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


@dataclass(frozen=True)
class ReportRead:
    """What became of a file. ``is_new`` is False when it had been read in before, and nothing was done."""

    report_id: UUID
    lines: int
    first_day: date
    last_day: date
    is_new: bool


@transaction.atomic
def report_import(*, provider: str, name: str, text: str, models: Mapping[str, str] | None = None) -> ReportRead:
    """Read in a provider's file, whole or not at all. Needs an operator context.

    Each line has ``day`` (or a time), ``model``, tokens, and for one request ``request_id`` (the provider's) and
    ``call_id`` (the x-client-request-id that we sent), for a sum none of both and ``requests``. ``models`` maps the
    provider's names to our keys. A later file about the same request, or day and model, replaces the row. Raises
    InvalidInput with the line numbers.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = ProviderReport.objects.filter(provider=provider, digest=digest).first()
    if known is not None:
        return ReportRead(known.pk, known.lines, known.first_day, known.last_day, is_new=False)
    rows = _rows(provider, text, models or {})
    days = [row.day for row in rows]
    report = ProviderReport.objects.create(
        provider=provider, name=name[:200], digest=digest, lines=len(rows), first_day=min(days), last_day=max(days)
    )
    for row in rows:
        row.report = report
    replaced = ["report", "call_id", "request_id", "day", "model", "requests", *_TOKENS, "cost_usd"]
    ProviderReportRow.objects.bulk_create(
        rows, batch_size=_BATCH, update_conflicts=True, unique_fields=["provider", "key"], update_fields=replaced
    )
    data = {"provider": provider, "file": report.name, "lines": len(rows), "sha256": digest}
    audit_record(action="provider_report.import", target_type="provider_report", target_id=report.pk, data=data)
    return ReportRead(report.pk, len(rows), report.first_day, report.last_day, is_new=True)


def report_for_call(call_id: UUID, request_ids: Collection[str] = ()) -> TokenBuckets | None:
    """Return what providers report about a call, all of its requests together; None when they say nothing of it.

    ``request_ids`` are the providers' own ids of its attempts, for reports that do not repeat ours. Needs an operator
    context.
    """
    about = Q(call_id=call_id)
    if request_ids:
        about |= Q(call_id__isnull=True, request_id__in=request_ids)
    with transaction.atomic():
        rows = list(ProviderReportRow.objects.filter(about).values_list(*_TOKENS))
    if not rows:
        return None
    read, cached, cache_write, written, reasoning = (sum(column) for column in zip(*rows, strict=True))
    return TokenBuckets(
        input=read - cached - cache_write,
        cached_input=cached,
        cache_write=cache_write,
        output=written - reasoning,
        reasoning=reasoning,
    )


def _rows(provider: str, text: str, models: Mapping[str, str]) -> list[ProviderReportRow]:
    faults = Faults()
    rows: dict[str, ProviderReportRow] = {}
    for line in lines_of(text):
        try:
            _add(rows, _row(provider, line, models))
        except InvalidInput as error:
            faults.note(line, error)
    faults.settle()
    return list(rows.values())


def _add(rows: dict[str, ProviderReportRow], row: ProviderReportRow) -> None:
    if row.key in rows:
        raise InvalidInput(_("An earlier line is about the same."))
    rows[row.key] = row


def _row(provider: str, line: Line, models: Mapping[str, str]) -> ProviderReportRow:
    call_id = line.uuid("call_id", "x_client_request_id", "client_request_id")
    request_id = line.text("request_id", "id", default="")
    day, model = line.day("day", "date", "created_at", "timestamp"), line.text("model")
    row = ProviderReportRow(
        provider=provider,
        call_id=call_id,
        request_id=request_id,
        day=day,
        model=models.get(model, model),
        requests=line.count("requests", "num_model_requests", default=1),
        input_tokens=line.count("input_tokens", "prompt_tokens"),
        cached_input_tokens=line.count("cached_input_tokens", "input_cached_tokens", "cached_tokens"),
        cache_write_tokens=line.count("cache_write_tokens"),
        output_tokens=line.count("output_tokens", "completion_tokens"),
        reasoning_tokens=line.count("reasoning_tokens"),
        cost_usd=line.usd("cost_usd", "cost"),
    )
    row.key = request_id or (str(call_id) if call_id else f"{day} {row.model}")
    for name, limit in (("model", 120), ("key", 200)):
        if len(getattr(row, name)) > limit:
            raise InvalidInput.for_field(name, _("This is too long."))
    if row.input_tokens < row.cached_input_tokens + row.cache_write_tokens:
        raise InvalidInput.for_field("input_tokens", _("Input tokens are to include what was cached."))
    if row.output_tokens < row.reasoning_tokens:
        raise InvalidInput.for_field("output_tokens", _("Output tokens are to include reasoning."))
    return row
