-- Give the whole of an open hold back: {"hold", "key", "fingerprint", "note", "status": "released" or "expired",
-- "trace", "user"} → {"outcome": "released", "amount", "ref", "balance", "frozen"}, or "resolved", "key_taken",
-- "not_found".
CREATE FUNCTION ledger_release(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    hold holds;
    wallet wallets;
    entry transactions;
BEGIN
    wallet := ledger_wallet_of((call->>'hold')::uuid, (call->>'organization')::uuid);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "not_found"}';
    END IF;
    SELECT * INTO hold FROM holds WHERE id = (call->>'hold')::uuid;
    IF hold.status <> 'open' THEN
        RETURN ledger_refusal(hold.wallet_id, call->>'key', '{"outcome": "resolved"}');
    END IF;
    entry.kind := 'release';
    entry.amount := hold.amount;
    entry.idempotency_key := call->>'key';
    entry.fingerprint := call->>'fingerprint';
    entry.user_id := call->>'user';
    entry.hold_id := hold.id;
    entry.billing_ref_id := hold.billing_ref_id;
    entry.trace_id := coalesce(call->>'trace', '');
    entry.note := coalesce(call->>'note', '');
    wallet := ledger_post(wallet, entry);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "key_taken"}';
    END IF;
    UPDATE holds SET status = call->>'status', resolved_at = clock_timestamp() WHERE id = hold.id;
    PERFORM ledger_save(wallet);
    PERFORM ledger_windows_move(hold.budget_windows, 0, -hold.amount);
    RETURN jsonb_build_object('outcome', 'released', 'amount', hold.amount::text, 'ref', hold.billing_ref_id,
                              'balance', wallet.balance::text, 'frozen', wallet.frozen::text);
END $$;
