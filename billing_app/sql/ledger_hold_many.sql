-- Set money aside for several calls of one organization: [{"hold", "amount", "key", "ref", "trace", "user", "project",
-- "api_key", "hold_seconds"}] → their answers at the same places, as of `ledger_hold`. Null is one that does not simply
-- fit: nothing was done for it, and `ledger_hold` is to be asked, which says why.
CREATE FUNCTION ledger_hold_many(organization uuid, calls jsonb) RETURNS jsonb[] LANGUAGE plpgsql AS $$
DECLARE
    wallet wallets;
    call record;
    entry transactions;
    entries transactions[] := '{}';
    hold holds;
    new_holds holds[] := '{}';
    answers jsonb[] := '{}';
    has_budgets boolean;
    subject text;
    room numeric; -- what the tightest budget of this subject lets through; null without budgets
    reserved numeric := 0;
BEGIN
    SELECT * INTO wallet FROM wallets WHERE organization_id = organization FOR UPDATE;
    -- With a snapshot of its own, taken under the lock.
    has_budgets := EXISTS (SELECT FROM budgets WHERE organization_id = organization);
    entry.kind := 'hold';
    entry.fingerprint := '';
    entry.note := '';
    entry.organization_id := organization;
    entry.wallet_id := wallet.id;
    entry.balance_after := wallet.balance;
    hold.organization_id := organization;
    hold.wallet_id := wallet.id;
    hold.budget_windows := '{}';
    hold.captured := 0;
    hold.refunded := 0;
    hold.status := 'open';
    FOR call IN
        SELECT * FROM jsonb_to_recordset(calls) AS c (
            hold uuid, amount numeric(20, 10), key text, ref text, trace text, "user" uuid, project uuid, api_key uuid,
            hold_seconds float8
        )
    LOOP
        IF has_budgets AND subject IS DISTINCT FROM ROW(call.project, call."user", call.api_key)::text THEN
            PERFORM ledger_windows_move(hold.budget_windows, 0, reserved);
            reserved := 0;
            subject := ROW(call.project, call."user", call.api_key)::text;
            SELECT coalesce(array_agg(window_id), '{}'), min(limit_usd - taken) FILTER (WHERE is_active)
            INTO hold.budget_windows, room FROM ledger_windows(organization, call.project, call."user", call.api_key);
        END IF;
        -- A missing wallet has a null balance, which nothing fits.
        IF (call.amount <= wallet.balance - wallet.frozen) IS NOT TRUE OR call.amount > room THEN
            answers := array_append(answers, NULL);
            CONTINUE;
        END IF;
        wallet.frozen := wallet.frozen + call.amount;
        wallet.seq := wallet.seq + 1;
        room := room - call.amount;
        reserved := reserved + call.amount;
        entry.id := gen_random_uuid();
        entry.user_id := call."user";
        entry.seq := wallet.seq;
        entry.amount := call.amount;
        entry.frozen_after := wallet.frozen;
        entry.hold_id := call.hold;
        entry.idempotency_key := call.key;
        entry.billing_ref_id := call.ref;
        entry.trace_id := call.trace;
        entry.created_at := clock_timestamp();
        entry.prev_hash := wallet.hash;
        wallet.hash := ledger_hash(entry);
        entry.hash := wallet.hash;
        entries := array_append(entries, entry);
        hold.id := call.hold;
        hold.user_id := call."user";
        hold.created_at := entry.created_at;
        hold.project_id := call.project;
        hold.api_key_id := call.api_key;
        hold.amount := call.amount;
        hold.billing_ref_id := call.ref;
        hold.trace_id := call.trace;
        hold.expires_at := now() + call.hold_seconds * interval '1 s';
        new_holds := array_append(new_holds, hold);
        answers := array_append(answers, jsonb_build_object(
            'outcome', 'held', 'wallet', wallet.id, 'balance', wallet.balance::text, 'frozen', wallet.frozen::text));
    END LOOP;
    IF entries <> '{}' THEN
        -- A key that is taken raises unique_violation: then nothing was done for any of them.
        INSERT INTO transactions SELECT * FROM unnest(entries);
        INSERT INTO holds SELECT * FROM unnest(new_holds);
        UPDATE wallets SET frozen = wallet.frozen, seq = wallet.seq, hash = wallet.hash WHERE id = wallet.id;
        PERFORM ledger_windows_move(hold.budget_windows, 0, reserved);
    END IF;
    RETURN answers;
END $$;
