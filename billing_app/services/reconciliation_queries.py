"""What the comparison of one day asks the database; see `billing_app.services.reconciliation`.

Each query yields the columns of a difference; ``ours`` and ``theirs`` are names and values in turn, as text.
"""

# Charged by the record, taken by the ledger. Calls of the day by their record, captures of the day without one.
_CHARGE = """
    WITH records AS (
        SELECT id, organization_id, provider, model, charged_usd FROM openai_usage
        WHERE created_at >= %(start)s AND created_at < %(end)s
    ),
    unrecorded AS (
        SELECT t.organization_id, t.billing_ref_id AS ref, sum(t.amount) AS captured FROM transactions t
        WHERE t.kind = 'capture' AND t.amount > 0 AND t.created_at >= %(start)s AND t.created_at < %(end)s
          AND NOT EXISTS (
              SELECT FROM openai_usage u
              WHERE u.id = CASE WHEN t.billing_ref_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                THEN t.billing_ref_id::uuid END
          )
        GROUP BY t.organization_id, t.billing_ref_id
    )
    SELECT r.organization_id, r.provider, r.model, r.id AS call_id, '' AS request_id,
           ARRAY['charged_usd', r.charged_usd::text] AS ours,
           ARRAY['captured_usd', coalesce(c.captured, 0)::text] AS theirs
    FROM records r
    CROSS JOIN LATERAL (
        SELECT sum(h.captured) AS captured FROM holds h
        WHERE h.organization_id = r.organization_id AND h.billing_ref_id = r.id::text
    ) c
    WHERE r.charged_usd <> coalesce(c.captured, 0)
    UNION ALL
    SELECT organization_id, '', '', NULL, left(ref, 200), ARRAY['charged_usd', '0'],
           ARRAY['captured_usd', captured::text]
    FROM unrecorded
"""

# A report's requests by call: by the id that we sent along, or by the provider's, which the record keeps.
_REQUESTS = """
    requests AS (
        SELECT r.*, coalesce(c.id, q.id) AS record_id
        FROM provider_report_rows r
        LEFT JOIN openai_usage c ON c.id = r.call_id
        LEFT JOIN openai_usage q ON r.call_id IS NULL AND q.provider = r.provider
            AND q.meta->>'upstream_request_id' = r.request_id
            AND q.created_at >= %(start)s - interval '1 day' AND q.created_at < %(end)s + interval '1 day'
        WHERE r.day BETWEEN %(day)s::date - 1 AND %(day)s::date + 1
          AND (r.call_id IS NOT NULL OR r.request_id <> '')
    )
"""


def _of_requests(sql: str) -> str:
    return sql.replace("{requests}", _REQUESTS.strip())


_UNRECORDED = _of_requests("""
    WITH {requests}
    SELECT NULL::uuid AS organization_id, provider, model, call_id, request_id,
           ARRAY['calls', '0'] AS ours,
           ARRAY['requests', requests::text, 'input_tokens', input_tokens::text,
                 'output_tokens', output_tokens::text, 'cost_usd', cost_usd::text] AS theirs
    FROM requests
    WHERE record_id IS NULL AND day = %(day)s AND input_tokens + output_tokens > 0
""")

# Only where the provider's report of that day goes request by request.
_UNREPORTED = _of_requests("""
    WITH {requests}
    SELECT u.organization_id, u.provider, u.model, u.id AS call_id, '' AS request_id,
           ARRAY['input_tokens', u.input_tokens::text, 'output_tokens', u.output_tokens::text,
                 'cost_usd', u.cost_usd::text] AS ours,
           ARRAY['requests', '0'] AS theirs
    FROM openai_usage u
    WHERE u.created_at >= %(start)s AND u.created_at < %(end)s AND u.input_tokens + u.output_tokens > 0
      AND EXISTS (SELECT FROM requests r WHERE r.provider = u.provider AND r.day = %(day)s)
      AND NOT EXISTS (SELECT FROM requests r WHERE r.record_id = u.id)
""")

_TOKENS = _of_requests("""
    WITH {requests},
    reported AS (
        SELECT record_id, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
               sum(cost_usd) AS cost_usd
        FROM requests WHERE record_id IS NOT NULL GROUP BY record_id
    )
    SELECT u.organization_id, u.provider, u.model, u.id AS call_id, '' AS request_id,
           ARRAY['input_tokens', u.input_tokens::text, 'output_tokens', u.output_tokens::text,
                 'cost_usd', u.cost_usd::text] AS ours,
           ARRAY['input_tokens', r.input_tokens::text, 'output_tokens', r.output_tokens::text,
                 'cost_usd', r.cost_usd::text] AS theirs
    FROM reported r JOIN openai_usage u ON u.id = r.record_id
    WHERE u.created_at >= %(start)s AND u.created_at < %(end)s
      AND (u.input_tokens, u.output_tokens) IS DISTINCT FROM (r.input_tokens, r.output_tokens)
""")

# Only for providers whose report of that day is in sums.
_TOTALS = """
    WITH reported AS (
        SELECT provider, model, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
               sum(cost_usd) AS cost_usd
        FROM provider_report_rows WHERE day = %(day)s AND call_id IS NULL AND request_id = ''
        GROUP BY provider, model
    ),
    recorded AS (
        SELECT provider, model, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
               sum(cost_usd) AS cost_usd
        FROM openai_usage u
        WHERE created_at >= %(start)s AND created_at < %(end)s AND input_tokens + output_tokens > 0
          AND EXISTS (SELECT FROM reported r WHERE r.provider = u.provider)
        GROUP BY provider, model
    )
    SELECT NULL::uuid AS organization_id, coalesce(u.provider, r.provider) AS provider,
           coalesce(u.model, r.model) AS model, NULL::uuid AS call_id, '' AS request_id,
           ARRAY['input_tokens', coalesce(u.input_tokens, 0)::text, 'output_tokens',
                 coalesce(u.output_tokens, 0)::text, 'cost_usd', coalesce(u.cost_usd, 0)::text] AS ours,
           ARRAY['input_tokens', coalesce(r.input_tokens, 0)::text, 'output_tokens',
                 coalesce(r.output_tokens, 0)::text, 'cost_usd', r.cost_usd::text] AS theirs
    FROM recorded u FULL JOIN reported r ON r.provider = u.provider AND r.model = u.model
    WHERE (coalesce(u.input_tokens, 0), coalesce(u.output_tokens, 0))
          <> (coalesce(r.input_tokens, 0), coalesce(r.output_tokens, 0))
"""

# By DifferenceKind.
COMPARISONS = {
    "charge": _CHARGE,
    "unrecorded": _UNRECORDED,
    "unreported": _UNREPORTED,
    "tokens": _TOKENS,
    "totals": _TOTALS,
}
