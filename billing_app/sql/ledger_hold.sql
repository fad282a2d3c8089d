-- Set money aside: {"organization", "user", "project", "api_key", "hold", "amount", "key", "fingerprint", "ref",
-- "trace", "expires_at"} → {"outcome": "held", "wallet", "balance", "frozen"}, or "insufficient_funds" ("balance",
-- "frozen"), "budget_exceeded" ("budget", "scope", "limit", "left", "on_exceed"), "key_taken", "no_wallet".
CREATE FUNCTION ledger_hold(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    wallet wallets;
    after wallets;
    entry transactions;
    budget record;
    windows uuid[] := '{}';
    refusal jsonb;
    organization uuid := call->>'organization';
    project uuid := call->>'project';
    api_key uuid := call->>'api_key';
BEGIN
    entry.kind := 'hold';
    entry.amount := call->>'amount';
    entry.idempotency_key := call->>'key';
    entry.fingerprint := call->>'fingerprint';
    entry.user_id := call->>'user';
    entry.hold_id := call->>'hold';
    entry.billing_ref_id := call->>'ref';
    entry.trace_id := coalesce(call->>'trace', '');
    entry.note := '';
    SELECT * INTO wallet FROM wallets WHERE organization_id = organization FOR UPDATE;
    IF NOT FOUND THEN
        RETURN '{"outcome": "no_wallet"}';
    END IF;
    IF wallet.balance - wallet.frozen < entry.amount THEN
        RETURN ledger_refusal(wallet.id, entry.idempotency_key, jsonb_build_object(
            'outcome', 'insufficient_funds', 'balance', wallet.balance::text, 'frozen', wallet.frozen::text));
    END IF;
    IF EXISTS (SELECT FROM budgets WHERE organization_id = organization) THEN
        FOR budget IN SELECT * FROM ledger_windows(organization, project, entry.user_id, api_key) LOOP
            windows := windows || budget.window_id;
            -- One that refuses goes before one that would let a cheaper call through.
            IF budget.is_active AND budget.taken + entry.amount > budget.limit_usd
               AND (refusal IS NULL OR refusal->>'on_exceed' = 'fallback') THEN
                refusal := ledger_over_budget(
                    budget.budget_id, budget.scope, budget.limit_usd, budget.taken, budget.on_exceed);
            END IF;
        END LOOP;
    END IF;
    IF refusal IS NOT NULL THEN
        UPDATE budget_windows SET refused_at = clock_timestamp()
        WHERE id = ANY (windows) AND budget_id = (refusal->>'budget')::uuid AND refused_at IS NULL;
        RETURN ledger_refusal(wallet.id, entry.idempotency_key, refusal);
    END IF;
    after := ledger_post(wallet, entry);
    IF after.id IS NULL THEN
        RETURN '{"outcome": "key_taken"}';
    END IF;
    INSERT INTO holds (id, organization_id, user_id, created_at, wallet_id, project_id, api_key_id, budget_windows,
                       amount, captured, refunded, status, billing_ref_id, trace_id, expires_at)
    VALUES (entry.hold_id, organization, entry.user_id, clock_timestamp(), wallet.id, project, api_key, windows,
            entry.amount, 0, 0, 'open', entry.billing_ref_id, entry.trace_id, (call->>'expires_at')::timestamptz);
    PERFORM ledger_save(after);
    PERFORM ledger_windows_move(windows, 0, entry.amount);
    RETURN jsonb_build_object('outcome', 'held', 'wallet', after.id, 'balance', after.balance::text,
                              'frozen', after.frozen::text);
END $$;
