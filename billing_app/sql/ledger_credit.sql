-- Top a wallet up, or adjust it up or down: {"organization", "kind": "topup" or "adjust", "amount", "key",
-- "fingerprint", "note", "trace", "user"} → {"outcome": "credited", "wallet", "balance", "frozen"}, or
-- "insufficient_funds", "key_taken", "no_wallet".
CREATE FUNCTION ledger_credit(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    wallet wallets;
    entry transactions;
BEGIN
    entry.kind := call->>'kind';
    IF entry.kind NOT IN ('topup', 'adjust') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s is no credit', entry.kind);
    END IF;
    entry.amount := call->>'amount';
    entry.idempotency_key := call->>'key';
    entry.fingerprint := call->>'fingerprint';
    entry.user_id := call->>'user';
    entry.billing_ref_id := '';
    entry.trace_id := coalesce(call->>'trace', '');
    entry.note := coalesce(call->>'note', '');
    SELECT * INTO wallet FROM wallets WHERE organization_id = (call->>'organization')::uuid FOR UPDATE;
    IF NOT FOUND THEN
        RETURN '{"outcome": "no_wallet"}';
    ELSIF wallet.balance - wallet.frozen + entry.amount < 0 THEN
        RETURN ledger_refusal(wallet.id, entry.idempotency_key, jsonb_build_object(
            'outcome', 'insufficient_funds', 'balance', wallet.balance::text, 'frozen', wallet.frozen::text));
    END IF;
    wallet := ledger_post(wallet, entry);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "key_taken"}';
    END IF;
    PERFORM ledger_save(wallet);
    RETURN jsonb_build_object('outcome', 'credited', 'wallet', wallet.id, 'balance', wallet.balance::text,
                              'frozen', wallet.frozen::text);
END $$;
