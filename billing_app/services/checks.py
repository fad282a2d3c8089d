"""The ledger check: everything that is stored twice is derived again and compared, by the database, in one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from accounts_app.services.partitions import rows_kept_from
from accounts_app.tenancy.context import operator_context, tenant_context
from billing_app.services.check_queries import CHECKS

# A broken import could make every row differ: the first of each kind say enough, and memory stays small.
LIMIT = 200

_TOTALS = """
    SELECT (SELECT count(*) FROM wallets), (SELECT count(*) FROM holds WHERE status = 'open'),
           count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
           coalesce(sum(cost_usd), 0), coalesce(sum(charged_usd), 0)
    FROM openai_usage
"""


@dataclass(frozen=True)
class Difference:
    """One row that is not what the others say: ``table`` and ``row`` name it."""

    what: str
    table: str
    row: str
    organization_id: UUID
    stored: str
    derived: str


@dataclass(frozen=True)
class LedgerReport:
    """What the check saw. Money in USD; ``differences`` is empty when the books are right."""

    wallets: int
    open_holds: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    charged_usd: Decimal
    differences: tuple[Difference, ...]


@contextmanager
def ledger_snapshot(organization_id: UUID | None = None) -> Iterator[None]:
    """Open a read-only transaction that sees one moment of the books, while calls go on being settled.

    It sees all tenants' books, or only those of ``organization_id``: row-level security narrows every query.
    """
    tenant = operator_context("check_ledger") if organization_id is None else tenant_context(organization_id)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Before any query, and so before the tenant is written into the transaction.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        with tenant:
            yield


def ledger_check() -> LedgerReport:
    """Compare the books that the caller's transaction sees (`ledger_snapshot` opens the right one)."""
    kept = rows_kept_from("openai_usage")
    with connection.cursor() as cursor:
        differences = [item for what, sql in CHECKS.items() for item in _differences(cursor, what, sql, kept)]
        cursor.execute(_TOTALS)
        wallets, open_holds, calls, input_tokens, output_tokens, cost, charged = cursor.fetchall()[0]
    tokens = int(input_tokens), int(output_tokens)
    return LedgerReport(wallets, open_holds, calls, *tokens, cost, charged, tuple(differences))


def _differences(cursor: CursorWrapper, what: str, sql: str, kept: date | None) -> Iterator[Difference]:
    cursor.execute(sql, {"kept": kept})
    for table, row, *rest in cursor.fetchmany(LIMIT):
        yield Difference(what, table, str(row), *rest)
