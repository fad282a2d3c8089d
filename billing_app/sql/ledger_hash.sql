-- What an entry's hash says: all of its columns and the hash of the entry before it. A row's text is unambiguous:
-- it quotes what needs quoting and tells null from empty. Moments are microseconds, whatever the server's time zone.
CREATE FUNCTION ledger_hash(entry transactions) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(ROW(
        entry.prev_hash, entry.id, entry.organization_id, entry.user_id, entry.wallet_id, entry.seq, entry.kind,
        entry.amount, entry.balance_after, entry.frozen_after, entry.hold_id, entry.idempotency_key,
        entry.fingerprint, entry.billing_ref_id, entry.trace_id, entry.note,
        (extract(epoch FROM entry.created_at) * 1000000)::bigint
    )::text, 'UTF8')), 'hex')
$$;
