-- Pay a part of a capture back: {"hold", "amount", "key", "fingerprint", "note", "trace", "user"} →
-- {"outcome": "refunded", "amount", "balance", "frozen"}, or "over", "key_taken", "not_found".
CREATE FUNCTION ledger_refund(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    hold holds;
    wallet wallets;
    entry transactions;
BEGIN
    entry.amount := call->>'amount';
    wallet := ledger_wallet_of((call->>'hold')::uuid, (call->>'organization')::uuid);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "not_found"}';
    END IF;
    SELECT * INTO hold FROM holds WHERE id = (call->>'hold')::uuid;
    IF hold.captured < hold.refunded + entry.amount THEN
        RETURN ledger_refusal(hold.wallet_id, call->>'key', '{"outcome": "over"}');
    END IF;
    entry.kind := 'refund';
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
    UPDATE holds SET refunded = refunded + entry.amount WHERE id = hold.id;
    PERFORM ledger_save(wallet);
    PERFORM ledger_windows_move(hold.budget_windows, -entry.amount, 0);
    RETURN jsonb_build_object('outcome', 'refunded', 'amount', entry.amount::text, 'balance', wallet.balance::text,
                              'frozen', wallet.frozen::text);
END $$;
