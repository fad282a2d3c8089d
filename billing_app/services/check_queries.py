"""What the ledger check asks the database; see `billing_app.services.checks`."""

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
           format('balance %%s, frozen %%s, entries %%s', w.balance, w.frozen, w.seq),
           format('balance %%s, frozen %%s, entries %%s',
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
           format('entry %%s, balance %%s, frozen %%s', seq, balance_after, frozen_after),
           format('entry %%s, balance %%s, frozen %%s', number, balance, frozen)
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
           format('%%s: amount %%s, captured %%s, refunded %%s, released %%s',
                  h.status, h.amount, h.captured, h.refunded, h.released),
           format('amount %%s, captured %%s, refunded %%s, released %%s',
                  coalesce(e.amount, 0), coalesce(e.captured, 0), coalesce(e.refunded, 0), coalesce(e.released, 0))
    FROM expected h LEFT JOIN entries e ON e.hold_id = h.id
    WHERE (h.amount, h.captured, h.refunded, h.released) IS DISTINCT FROM (e.amount, e.captured, e.refunded, e.released)
"""

# Not of calls whose record was dropped with its month, which their id tells.
_USAGE_AND_CAPTURES = """
    WITH captures AS (
        SELECT h.organization_id, h.billing_ref_id AS ref, min(h.id::text) AS hold_id, sum(t.amount) AS captured
        FROM transactions t JOIN holds h ON h.id = t.hold_id
        WHERE t.kind = 'capture' GROUP BY h.organization_id, h.billing_ref_id
    )
    SELECT CASE WHEN u.id IS NULL THEN 'holds' ELSE 'openai_usage' END, coalesce(u.id::text, c.hold_id),
           coalesce(u.organization_id, c.organization_id),
           format('charged %%s', coalesce(u.charged_usd::text, 'nothing: no record')),
           format('captured %%s for %%s', coalesce(c.captured, 0), coalesce(u.id::text, c.ref))
    FROM captures c FULL JOIN openai_usage u ON u.organization_id = c.organization_id AND u.id::text = c.ref
    WHERE coalesce(u.charged_usd, 0) <> coalesce(c.captured, 0)
      AND (u.id IS NOT NULL OR %(kept)s::date IS NULL OR c.ref !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7'
           OR c.ref >= partition_bound(%(kept)s::date::timestamp)::text)
"""

# Days before the records begin cannot be counted again; their first day may have lost calls begun the day before.
_ROLL_UP_AND_USAGE = """
    WITH counted AS (
        SELECT organization_id, (created_at AT TIME ZONE 'UTC')::date AS day, model,
               project_id, api_key_id, user_id, count(*) AS calls, sum(input_tokens) AS input_tokens,
               sum(output_tokens) AS output_tokens, sum(cost_usd) AS cost_usd, sum(charged_usd) AS charged_usd
        FROM openai_usage GROUP BY organization_id, day, model, project_id, api_key_id, user_id
    )
    SELECT 'usage_daily', concat_ws(' ', coalesce(d.day, c.day), coalesce(d.model, c.model)),
           coalesce(d.organization_id, c.organization_id),
           concat_ws(', ', d.calls, d.input_tokens, d.output_tokens, d.cost_usd, d.charged_usd),
           concat_ws(', ', c.calls, c.input_tokens, c.output_tokens, c.cost_usd, c.charged_usd)
    FROM usage_daily d
    FULL JOIN counted c ON c.organization_id = d.organization_id AND c.day = d.day AND c.model = d.model
        AND ROW(c.project_id, c.api_key_id, c.user_id)::text = ROW(d.project_id, d.api_key_id, d.user_id)::text
    WHERE (d.calls, d.input_tokens, d.output_tokens, d.cost_usd, d.charged_usd)
          IS DISTINCT FROM (c.calls, c.input_tokens, c.output_tokens, c.cost_usd, c.charged_usd)
      AND (%(kept)s::date IS NULL OR coalesce(d.day, c.day) > %(kept)s::date)
"""

# An entry whose own hash is wrong was changed. One whose hash is right, while the sound entry after it (or the wallet,
# after the last) continues another hash, was changed together with its hash, or is not the one that stood there.
_HASHES = """
    WITH hashed AS (SELECT t.*, ledger_hash(t) AS own FROM transactions t),
    chain AS (
        SELECT id, organization_id, wallet_id, seq, hash, own, prev_hash,
               lead(seq) OVER w AS next_seq, lead(prev_hash) OVER w AS continued,
               lead(hash) OVER w = lead(own) OVER w AS next_is_sound
        FROM hashed WINDOW w AS (PARTITION BY wallet_id ORDER BY seq)
    )
    SELECT 'transactions', c.id, c.organization_id, format('entry %%s, hash %%s', c.seq, c.hash),
           format('hash %%s', CASE WHEN c.hash <> c.own THEN c.own ELSE coalesce(c.continued, w.hash) END)
    FROM chain c JOIN wallets w ON w.id = c.wallet_id
    WHERE c.hash <> c.own
       OR (c.seq = 1 AND c.prev_hash <> '')
       OR (c.next_seq = c.seq + 1 AND c.next_is_sound AND c.continued <> c.hash)
       OR (c.next_seq IS NULL AND c.seq >= w.seq AND w.hash <> c.hash)
"""

_WINDOWS_AND_HOLDS = """
    WITH counted AS (
        SELECT window_id, sum(amount) FILTER (WHERE status = 'open') AS held, sum(captured - refunded) AS spent
        FROM holds CROSS JOIN unnest(budget_windows) AS window_id GROUP BY window_id
    )
    SELECT 'budget_windows', w.id, w.organization_id, format('spent %%s, held %%s', w.spent, w.held),
           format('spent %%s, held %%s', w.opening + coalesce(c.spent, 0), coalesce(c.held, 0))
    FROM budget_windows w LEFT JOIN counted c ON c.window_id = w.id
    WHERE (w.spent, w.held) IS DISTINCT FROM (w.opening + coalesce(c.spent, 0), coalesce(c.held, 0))
"""

# Records of months that were dropped are no longer there to be counted: then a task may have more than is found.
_TASKS_AND_USAGE = """
    WITH counted AS (
        SELECT organization_id, task_id, count(*) AS calls, sum(input_tokens) AS input_tokens,
               sum(output_tokens) AS output_tokens, sum(cost_usd) AS cost_usd, sum(charged_usd) AS charged_usd
        FROM openai_usage WHERE task_id IS NOT NULL GROUP BY organization_id, task_id
    )
    SELECT 'usage_by_task', coalesce(t.task_id, c.task_id), coalesce(t.organization_id, c.organization_id),
           concat_ws(', ', t.calls, t.input_tokens, t.output_tokens, t.cost_usd, t.charged_usd),
           concat_ws(', ', c.calls, c.input_tokens, c.output_tokens, c.cost_usd, c.charged_usd)
    FROM usage_by_task t
    FULL JOIN counted c ON c.organization_id = t.organization_id AND c.task_id = t.task_id
    WHERE (t.calls, t.input_tokens, t.output_tokens, t.cost_usd, t.charged_usd)
          IS DISTINCT FROM (c.calls, c.input_tokens, c.output_tokens, c.cost_usd, c.charged_usd)
      AND (%(kept)s::date IS NULL OR t.calls IS NULL OR t.calls < c.calls OR t.charged_usd < c.charged_usd)
"""

CHECKS = {
    "wallet differs from its entries": _WALLET_AND_ENTRIES,
    "entry does not follow from the one before": _CHAIN,
    "entry differs from its hash, or from the one that followed it": _HASHES,
    "frozen money differs from the open holds": _FROZEN_AND_HOLDS,
    "hold differs from its entries": _HOLD_AND_ENTRIES,
    "usage differs from what was captured for the call": _USAGE_AND_CAPTURES,
    "roll-up differs from the usage records": _ROLL_UP_AND_USAGE,
    "task's usage differs from its records": _TASKS_AND_USAGE,
    "budget differs from its holds": _WINDOWS_AND_HOLDS,
}
