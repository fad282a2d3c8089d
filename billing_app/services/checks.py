"""The ledger check: everything that is stored twice is derived again and compared, by the database, in one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from accounts_app.tenancy.context import operator_context, tenant_context

# A broken import could make every row differ: the first of each kind say enough, and memory stays small.
LIMIT = 200

# Each query yields: table, row, organization, what is stored, what follows from the other rows.
_WALLET_AND_ENTRIES = """
    WITH entries AS (
        SELECT wallet_id, count(*) AS seq,
               sum(CASE WHEN kind IN ('topup', 'refund', 'adjust') THEN amount
                        WHEN kind = 'capture' THEN -amount ELSE 0 END) AS balance,
               sum(CASE WHEN kind = 'hold' THEN amount
                        WHEN kind IN ('capture', 'release') THEN -amount ELSE 0 END) AS frozen
        FROM transactions GROUP BY wallet_id
    )
    SELECT 'wallets', w.id, w.organization_id,
           format('balance %s, frozen %s, entries %s', w.balance, w.frozen, w.seq),
           format('balance %s, frozen %s, entries %s',
                  coalesce(e.balance, 0), coalesce(e.frozen, 0), coalesce(e.seq, 0))
    FROM wallets w LEFT JOIN entries e ON e.wallet_id = w.id
    WHERE (w.balance, w.frozen, w.seq)
          IS DISTINCT FROM (coalesce(e.balance, 0), coalesce(e.frozen, 0), coalesce(e.seq, 0))
"""

_CHAIN = """
    WITH chain AS (
        SELECT id, organization_id, seq, balance_after, frozen_after,
               coalesce(lag(seq) OVER w, 0) + 1 AS number,
               coalesce(lag(balance_after) OVER w, 0)
                   + CASE WHEN kind IN ('topup', 'refund', 'adjust') THEN amount
                          WHEN kind = 'capture' THEN -amount ELSE 0 END AS balance,
               coalesce(lag(frozen_after) OVER w, 0)
                   + CASE WHEN kind = 'hold' THEN amount
                          WHEN kind IN ('capture', 'release') THEN -amount ELSE 0 END AS frozen
        FROM transactions WINDOW w AS (PARTITION BY wallet_id ORDER BY seq)
    )
    SELECT 'transactions', id, organization_id,
           format('entry %s, balance %s, frozen %s', seq, balance_after, frozen_after),
           format('entry %s, balance %s, frozen %s', number, balance, frozen)
    FROM chain WHERE (seq, balance_after, frozen_after) IS DISTINCT FROM (number, balance, frozen)
"""

_FROZEN_AND_HOLDS = """
    WITH open AS (SELECT wallet_id, sum(amount) AS held FROM holds WHERE status = 'open' GROUP BY wallet_id)
    SELECT 'wallets', w.id, w.organization_id, w.frozen::text, coalesce(o.held, 0)::text
    FROM wallets w LEFT JOIN open o ON o.wallet_id = w.id
    WHERE w.frozen <> coalesce(o.held, 0)
"""

_HOLD_AND_ENTRIES = """
    WITH entries AS (
        SELECT hold_id,
               coalesce(sum(amount) FILTER (WHERE kind = 'hold'), 0) AS amount,
               coalesce(sum(amount) FILTER (WHERE kind = 'capture'), 0) AS captured,
               coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
               coalesce(sum(amount) FILTER (WHERE kind = 'release'), 0) AS released
        FROM transactions WHERE hold_id IS NOT NULL GROUP BY hold_id
    ),
    expected AS (SELECT *, CASE WHEN status = 'open' THEN 0 ELSE amount - captured END AS released FROM holds)
    SELECT 'holds', h.id, h.organization_id,
           format('%s: amount %s, captured %s, refunded %s, released %s',
                  h.status, h.amount, h.captured, h.refunded, h.released),
           format('amount %s, captured %s, refunded %s, released %s',
                  coalesce(e.amount, 0), coalesce(e.captured, 0), coalesce(e.refunded, 0), coalesce(e.released, 0))
    FROM expected h LEFT JOIN entries e ON e.hold_id = h.id
    WHERE (h.amount, h.captured, h.refunded, h.released) IS DISTINCT FROM (e.amount, e.captured, e.refunded, e.released)
"""

_USAGE_AND_CAPTURES = """
    WITH captures AS (
        SELECT h.organization_id, h.billing_ref_id AS ref, min(h.id::text) AS hold_id, sum(t.amount) AS captured
        FROM transactions t JOIN holds h ON h.id = t.hold_id
        WHERE t.kind = 'capture' GROUP BY h.organization_id, h.billing_ref_id
    )
    SELECT CASE WHEN u.id IS NULL THEN 'holds' ELSE 'openai_usage' END, coalesce(u.id::text, c.hold_id),
           coalesce(u.organization_id, c.organization_id),
           format('charged %s', coalesce(u.charged_usd::text, 'nothing: no record')),
           format('captured %s for %s', coalesce(c.captured, 0), coalesce(u.id::text, c.ref))
    FROM captures c FULL JOIN openai_usage u ON u.organization_id = c.organization_id AND u.id::text = c.ref
    WHERE coalesce(u.charged_usd, 0) <> coalesce(c.captured, 0)
"""

_ROLL_UP_AND_USAGE = """
    WITH counted AS (
        SELECT organization_id, (created_at AT TIME ZONE 'UTC')::date AS day, model, project_id, api_key_id, user_id, count(*) AS calls,
               sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
               sum(cost_usd) AS cost_usd, sum(charged_usd) AS charged_usd
        FROM openai_usage GROUP BY organization_id, day, model, project_id, api_key_id, user_id
    )
    SELECT 'usage_daily', concat_ws(' ', coalesce(d.day, c.day), coalesce(d.model, c.model)),
           coalesce(d.organization_id, c.organization_id),
           concat_ws(', ', d.calls, d.input_tokens, d.output_tokens, d.cost_usd, d.charged_usd),
           concat_ws(', ', c.calls, c.input_tokens, c.output_tokens, c.cost_usd, c.charged_usd)
    FROM usage_daily d
    FULL JOIN counted c ON c.organization_id = d.organization_id AND c.day = d.day AND c.model = d.model
        AND coalesce(c.project_id, '00000000-0000-0000-0000-000000000000'::uuid) = coalesce(d.project_id, '00000000-0000-0000-0000-000000000000'::uuid)
        AND coalesce(c.api_key_id, '00000000-0000-0000-0000-000000000000'::uuid) = coalesce(d.api_key_id, '00000000-0000-0000-0000-000000000000'::uuid)
        AND coalesce(c.user_id, '00000000-0000-0000-0000-000000000000'::uuid) = coalesce(d.user_id, '00000000-0000-0000-0000-000000000000'::uuid)
    WHERE (d.calls, d.input_tokens, d.output_tokens, d.cost_usd, d.charged_usd)
          IS DISTINCT FROM (c.calls, c.input_tokens, c.output_tokens, c.cost_usd, c.charged_usd)
"""

CHECKS = {
    "wallet differs from its entries": _WALLET_AND_ENTRIES,
    "entry does not follow from the one before": _CHAIN,
    "frozen money differs from the open holds": _FROZEN_AND_HOLDS,
    "hold differs from its entries": _HOLD_AND_ENTRIES,
    "usage differs from what was captured for the call": _USAGE_AND_CAPTURES,
    "roll-up differs from the usage records": _ROLL_UP_AND_USAGE,
}

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
    with connection.cursor() as cursor:
        differences = [item for what, sql in CHECKS.items() for item in _differences(cursor, what, sql)]
        cursor.execute(_TOTALS)
        wallets, open_holds, calls, input_tokens, output_tokens, cost, charged = cursor.fetchall()[0]
    tokens = int(input_tokens), int(output_tokens)
    return LedgerReport(wallets, open_holds, calls, *tokens, cost, charged, tuple(differences))


def _differences(cursor: CursorWrapper, what: str, sql: str) -> Iterator[Difference]:
    cursor.execute(sql)
    for table, row, *rest in cursor.fetchmany(LIMIT):
        yield Difference(what, table, str(row), *rest)
