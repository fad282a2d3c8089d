-- Set money aside for several calls of one organization: [{"hold", "amount", "key", "ref", "trace", "user", "project",
-- "api_key", "hold_seconds"}] → their answers at the same places, as of `ledger_hold`. Null is one that does not simply
-- fit: nothing was done for it, and `ledger_hold` is to be asked, which says why.
CREATE FUNCTION ledger_hold_many(organization uuid, calls jsonb) RETURNS jsonb[] LANGUAGE plpgsql AS $$
-- In few expressions: each is made ready anew in every transaction, which costs more than to evaluate it.
DECLARE
    wallet wallets;
    call record;
    entry transactions;
    entries transactions[];
    new_holds holds[];
    answers jsonb[];
    has_budgets boolean;
    subject text;
    windows uuid[] := '{}';
    room numeric; -- what the tightest budget of this subject lets through; null without budgets
    reserved numeric := 0;
BEGIN
    SELECT * INTO wallet FROM wallets WHERE organization_id = organization FOR UPDATE;
    -- With a snapshot of its own, taken under the lock.
    has_budgets := EXISTS (SELECT FROM budgets WHERE organization_id = organization);
    FOR call IN
        SELECT *, now() + hold_seconds * interval '1 s' AS expires_at,
               CASE WHEN has_budgets THEN ROW(project, "user", api_key)::text END AS subject
        FROM jsonb_to_recordset(calls) AS c (
            hold uuid, amount numeric(20, 10), key text, ref text, trace text, "user" uuid, project uuid, api_key uuid,
            hold_seconds float8
        )
    LOOP
        IF subject IS DISTINCT FROM call.subject THEN
            IF reserved > 0 THEN
                PERFORM ledger_windows_move(windows, 0, reserved);
                reserved := 0;
            END IF;
            subject := call.subject;
            SELECT coalesce(array_agg(window_id), '{}'), min(limit_usd - taken) FILTER (WHERE is_active)
            INTO windows, room FROM ledger_windows(organization, call.project, call."user", call.api_key);
        END IF;
        -- A missing wallet has a null balance, which nothing fits.
        IF (call.amount <= least(wallet.balance - wallet.frozen, room)) IS NOT TRUE OR wallet.id IS NULL THEN
            answers := array_append(answers, NULL);
            CONTINUE;
        END IF;
        wallet.frozen := wallet.frozen + call.amount;
        wallet.seq := wallet.seq + 1;
        IF has_budgets THEN
            room := room - call.amount;
            reserved := reserved + call.amount;
        END IF;
        -- In the order of the table's columns.
        entry := ROW(
            gen_random_uuid(), call."user", wallet.seq, 'hold', call.amount, wallet.balance, wallet.frozen, call.key,
            '', call.ref, call.trace, '', clock_timestamp(), call.hold, organization, wallet.id, '', wallet.hash
        );
        wallet.hash := ledger_hash(entry);
        entry.hash := wallet.hash;
        entries := array_append(entries, entry);
        new_holds := array_append(new_holds, ROW(
            call.hold, entry.created_at, call.amount, 0, 0, 'open', call.ref, call.trace, call.expires_at, NULL,
            organization, call."user", wallet.id, call.api_key, windows, call.project
        )::holds);
        answers := array_append(answers, jsonb_build_object(
            'outcome', 'held', 'wallet', wallet.id, 'balance', wallet.balance::text, 'frozen', wallet.frozen::text));
    END LOOP;
    IF entries IS NOT NULL THEN
        -- A key that is taken raises unique_violation: then nothing was done for any of them.
        WITH written AS (INSERT INTO transactions SELECT * FROM unnest(entries)),
             opened AS (INSERT INTO holds SELECT * FROM unnest(new_holds))
        UPDATE wallets SET frozen = wallet.frozen, seq = wallet.seq, hash = wallet.hash WHERE id = wallet.id;
        IF reserved > 0 THEN
            PERFORM ledger_windows_move(windows, 0, reserved);
        END IF;
    END IF;
    RETURN answers;
END $$;
