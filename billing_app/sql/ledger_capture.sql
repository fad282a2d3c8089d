-- Take a part of an open hold for good and give the rest back: {"hold", "amount", "key", "fingerprint", "trace",
-- "user"} → {"outcome": "captured", "amount", "balance", "frozen"}, or "resolved", "over", "key_taken", "not_found".
CREATE FUNCTION ledger_capture(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    hold holds;
    wallet wallets;
    entry transactions;
    taken numeric(20, 10) := call->>'amount';
BEGIN
    wallet := ledger_wallet_of((call->>'hold')::uuid, (call->>'organization')::uuid);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "not_found"}';
    END IF;
    SELECT * INTO hold FROM holds WHERE id = (call->>'hold')::uuid;
    IF hold.status <> 'open' THEN
        RETURN ledger_refusal(hold.wallet_id, call->>'key', '{"outcome": "resolved"}');
    ELSIF taken > hold.amount THEN
        RETURN ledger_refusal(hold.wallet_id, call->>'key', '{"outcome": "over"}');
    END IF;
    entry.kind := 'capture';
    entry.amount := taken;
    entry.idempotency_key := call->>'key';
    entry.fingerprint := call->>'fingerprint';
    entry.user_id := call->>'user';
    entry.hold_id := hold.id;
    entry.billing_ref_id := hold.billing_ref_id;
    entry.trace_id := coalesce(call->>'trace', '');
    entry.note := '';
    wallet := ledger_post(wallet, entry);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "key_taken"}';
    END IF;
    IF hold.amount > taken THEN
        entry.kind := 'release';
        entry.amount := hold.amount - taken;
        entry.idempotency_key := 'auto:rest:' || hold.id;
        entry.fingerprint := encode(sha256(convert_to(entry.idempotency_key, 'UTF8')), 'hex');
        wallet := ledger_post(wallet, entry);
        IF wallet.id IS NULL THEN
            RAISE unique_violation USING MESSAGE = 'rest posted twice', CONSTRAINT = 'transaction_key_once';
        END IF;
    END IF;
    UPDATE holds SET status = 'captured', captured = taken, resolved_at = clock_timestamp() WHERE id = hold.id;
    PERFORM ledger_save(wallet);
    PERFORM ledger_windows_move(hold.budget_windows, taken, -hold.amount);
    RETURN jsonb_build_object('outcome', 'captured', 'amount', taken::text, 'balance', wallet.balance::text,
                              'frozen', wallet.frozen::text);
END $$;
