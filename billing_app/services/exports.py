"""Exports of the books: exactly the rows that a list shows, as CSV or JSON, page by page in constant memory."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import Tenant, bound, current_organization_id

Format = Literal["csv", "json"]
FORMATS: dict[str, str] = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
# Rows a query: some 200 kB in memory, however many there are in all.
PAGE = 1000
# A spreadsheet takes a text that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

TRANSACTION_COLUMNS = (
    "id", "seq", "created_at", "kind", "amount", "balance_after", "frozen_after", "hold_id", "billing_ref_id",
    "trace_id", "note",
)  # fmt: skip
USAGE_COLUMNS = (
    "id", "created_at", "model", "provider", "endpoint", "ending", "uncached_input_tokens", "cached_input_tokens",
    "cache_write_tokens", "visible_output_tokens", "reasoning_tokens", "input_tokens", "output_tokens", "cost_usd",
    "charged_usd", "price_id", "project_id", "api_key_id", "user_id", "task_id", "run_id", "step_key",
    "prompt_version_id", "trace_id",
)  # fmt: skip


@dataclass(frozen=True)
class Export:
    """What is exported: filtered rows, their columns, and the unique fields, newest first, that pages go along."""

    name: str
    rows: QuerySet[Any]
    columns: tuple[str, ...]
    keyset: tuple[str, ...]


def transactions_export(rows: QuerySet[Any]) -> Export:
    """Return the export of ledger entries, the newest first."""
    return Export("transactions", rows, TRANSACTION_COLUMNS, ("seq",))


def usage_export(rows: QuerySet[Any]) -> Export:
    """Return the export of usage records, the newest first."""
    return Export("usage", rows, USAGE_COLUMNS, ("created_at", "id"))


def export_begin(*, export: Export, format: Format, filters: dict[str, str]) -> None:  # noqa: A002 - as in addresses
    """Write down who takes which part of the books away; within the caller's transaction."""
    data = {"format": format, "filters": filters}
    audit_record(action="billing.export", target_type=export.name, target_id=current_organization_id(), data=data)


def export_text(*, export: Export, format: Format, tenant: Tenant) -> Iterator[str]:  # noqa: A002
    """Yield the file, a piece for each page of rows.

    Each page is read in a transaction of its own as ``tenant``, and its connection goes back to the pool: a slow reader
    holds nothing. What is written meanwhile is newer than the first page, so the file is the list as it was then.
    """
    pages = _pages(export, tenant)
    return _csv(export.columns, pages) if format == "csv" else _json(export.columns, pages)


def _pages(export: Export, tenant: Tenant) -> Iterator[list[tuple[Any, ...]]]:
    after: tuple[Any, ...] | None = None
    while True:
        with bound(tenant), transaction.atomic():
            page = _page(export, after)
        if not connection.in_atomic_block:
            connection.close()
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = tuple(page[-1][export.columns.index(name)] for name in export.keyset)


def _page(export: Export, after: tuple[Any, ...] | None) -> list[tuple[Any, ...]]:
    rows = export.rows.order_by(*(f"-{name}" for name in export.keyset))
    if after is not None:
        rows = _older(rows, export.keyset, after)
    return list(rows.values_list(*export.columns)[:PAGE])


def _older(rows: QuerySet[Any], keyset: Sequence[str], after: tuple[Any, ...]) -> QuerySet[Any]:
    first, *rest = keyset
    if not rest:
        return rows.filter(**{f"{first}__lt": after[0]})
    # At most as new as the last row, less those of its very moment that were given out already.
    (second,) = rest
    same_moment = {first: after[0], f"{second}__gte": after[1]}
    return rows.filter(**{f"{first}__lte": after[0]}).exclude(**same_moment)


def _csv(columns: tuple[str, ...], pages: Iterable[list[tuple[Any, ...]]]) -> Iterator[str]:
    yield _lines([columns])
    for page in pages:
        yield _lines([[cell(value) for value in row] for row in page])


def _lines(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _json(columns: tuple[str, ...], pages: Iterable[list[tuple[Any, ...]]]) -> Iterator[str]:
    mark = "[\n"
    for page in pages:
        rows = (dict(zip(columns, map(_plain, row), strict=True)) for row in page)
        yield mark + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        mark = ",\n"
    yield "\n]\n" if mark == ",\n" else "[]\n"


def cell(value: object) -> str:
    """Return a value as a spreadsheet may safely open it: texts are never formulas, amounts keep every place."""
    plain = _plain(value)
    text = "" if plain is None else str(plain)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _plain(value: object) -> str | int | None:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    assert value is None or isinstance(value, str | int)
    return value
