-- Raise an open hold to a new total, never lower it, and give it more time, never less: {"hold", "amount",
-- "expires_at" or null, "trace", "user"} → {"outcome": "extended", "wallet", "ref", "amount", "expires_at", "balance",
-- "frozen"}, or "insufficient_funds" ("amount", "balance", "frozen"), "budget_exceeded", "resolved", "not_found".
CREATE FUNCTION ledger_extend(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    hold holds;
    wallet wallets;
    after wallets;
    entry transactions;
    budget record;
    total numeric(20, 10) := call->>'amount';
    until timestamptz := call->>'expires_at';
BEGIN
    wallet := ledger_wallet_of((call->>'hold')::uuid, (call->>'organization')::uuid);
    IF wallet.id IS NULL THEN
        RETURN '{"outcome": "not_found"}';
    END IF;
    SELECT * INTO hold FROM holds WHERE id = (call->>'hold')::uuid;
    IF hold.status <> 'open' THEN
        RETURN '{"outcome": "resolved"}';
    END IF;
    IF total > hold.amount THEN
        entry.amount := total - hold.amount;
        IF wallet.balance - wallet.frozen < entry.amount THEN
            RETURN jsonb_build_object('outcome', 'insufficient_funds', 'amount', hold.amount::text,
                                      'balance', wallet.balance::text, 'frozen', wallet.frozen::text);
        END IF;
        IF hold.budget_windows <> '{}' THEN
            SELECT b.*, w.spent + w.held AS taken INTO budget
            FROM budget_windows w JOIN budgets b ON b.id = w.budget_id
            WHERE w.id = ANY (hold.budget_windows) AND b.is_active AND w.spent + w.held + entry.amount > b.limit_usd
            ORDER BY b.on_exceed = 'refuse' DESC, b.id LIMIT 1;
            IF FOUND THEN
                RETURN ledger_over_budget(budget.id, budget.scope, budget.limit_usd, budget.taken, budget.on_exceed)
                    || jsonb_build_object('amount', hold.amount::text, 'balance', wallet.balance::text,
                                          'frozen', wallet.frozen::text);
            END IF;
        END IF;
        entry.kind := 'hold';
        entry.idempotency_key := 'auto:extend:' || hold.id || ':' || total;
        entry.fingerprint := encode(sha256(convert_to(entry.idempotency_key, 'UTF8')), 'hex');
        entry.user_id := call->>'user';
        entry.hold_id := hold.id;
        entry.billing_ref_id := hold.billing_ref_id;
        entry.trace_id := coalesce(call->>'trace', '');
        entry.note := '';
        after := ledger_post(wallet, entry);
        -- Cannot be taken: the hold grows under its lock, and only to a total that it never had.
        IF after.id IS NULL THEN
            RAISE unique_violation USING MESSAGE = 'extension posted twice', CONSTRAINT = 'transaction_key_once';
        END IF;
        PERFORM ledger_save(after);
        PERFORM ledger_windows_move(hold.budget_windows, 0, entry.amount);
        wallet := after;
        hold.amount := total;
    END IF;
    hold.expires_at := greatest(hold.expires_at, until);
    UPDATE holds SET amount = hold.amount, expires_at = hold.expires_at WHERE id = hold.id;
    RETURN jsonb_build_object(
        'outcome', 'extended', 'wallet', wallet.id, 'ref', hold.billing_ref_id, 'amount', hold.amount::text,
        'expires_at', hold.expires_at, 'balance', wallet.balance::text, 'frozen', wallet.frozen::text);
END $$;
