-- End the holds of several calls of one organization: [{"hold", "due", "key", "trace", "user", "ending"}] → at the same
-- places {"outcome": "settled", "charged", "balance", "frozen"}: captured what is due or, where nothing is, released
-- with the ending as its note. Null is one that is not open or holds less than is due: nothing was done for it, and
-- `ledger_capture` or `ledger_release` is to be asked.
CREATE FUNCTION ledger_settle_many(organization uuid, calls jsonb) RETURNS jsonb[] LANGUAGE plpgsql AS $$
DECLARE
    wallet wallets;
    call record;
    entry transactions;
    entries transactions[] := '{}';
    ended uuid[] := '{}';
    taken numeric[] := '{}';
    windows uuid[] := '{}';
    spent numeric := 0;
    returned numeric := 0;
    rest numeric(20, 10);
    answers jsonb[] := '{}';
BEGIN
    SELECT * INTO wallet FROM wallets WHERE organization_id = organization FOR UPDATE;
    entry.fingerprint := '';
    entry.organization_id := organization;
    entry.wallet_id := wallet.id;
    FOR call IN
        SELECT c.*, h.amount, h.billing_ref_id, h.budget_windows
        FROM jsonb_to_recordset(calls) AS c (
            hold uuid, due numeric(20, 10), key text, trace text, "user" uuid, ending text
        )
        LEFT JOIN holds h ON h.id = c.hold AND h.organization_id = organization AND h.status = 'open'
    LOOP
        IF (call.due <= call.amount) IS NOT TRUE THEN
            answers := array_append(answers, NULL);
            CONTINUE;
        END IF;
        IF windows <> call.budget_windows THEN
            PERFORM ledger_windows_move(windows, spent, -returned);
            spent := 0;
            returned := 0;
        END IF;
        windows := call.budget_windows;
        spent := spent + call.due;
        returned := returned + call.amount;
        ended := array_append(ended, call.hold);
        taken := array_append(taken, call.due);
        rest := call.amount - call.due;
        entry.user_id := call."user";
        entry.hold_id := call.hold;
        entry.billing_ref_id := call.billing_ref_id;
        entry.trace_id := call.trace;
        entry.idempotency_key := call.key;
        entry.fingerprint := '';
        entry.note := '';
        entry.created_at := clock_timestamp();
        IF call.due > 0 THEN
            wallet.balance := wallet.balance - call.due;
            wallet.frozen := wallet.frozen - call.due;
            wallet.seq := wallet.seq + 1;
            entry.id := gen_random_uuid();
            entry.kind := 'capture';
            entry.amount := call.due;
            entry.seq := wallet.seq;
            entry.balance_after := wallet.balance;
            entry.frozen_after := wallet.frozen;
            entry.prev_hash := wallet.hash;
            wallet.hash := ledger_hash(entry);
            entry.hash := wallet.hash;
            entries := array_append(entries, entry);
            entry.idempotency_key := 'auto:rest:' || call.hold;
            entry.fingerprint := encode(sha256(convert_to(entry.idempotency_key, 'UTF8')), 'hex');
        ELSE
            entry.note := call.ending;
        END IF;
        IF rest > 0 THEN
            wallet.frozen := wallet.frozen - rest;
            wallet.seq := wallet.seq + 1;
            entry.id := gen_random_uuid();
            entry.kind := 'release';
            entry.amount := rest;
            entry.seq := wallet.seq;
            entry.balance_after := wallet.balance;
            entry.frozen_after := wallet.frozen;
            entry.prev_hash := wallet.hash;
            wallet.hash := ledger_hash(entry);
            entry.hash := wallet.hash;
            entries := array_append(entries, entry);
        END IF;
        answers := array_append(answers, jsonb_build_object(
            'outcome', 'settled', 'charged', call.due::text, 'balance', wallet.balance::text,
            'frozen', wallet.frozen::text));
    END LOOP;
    IF entries <> '{}' THEN
        -- A hold that comes twice raises unique_violation: then nothing was done for any of them.
        INSERT INTO transactions SELECT * FROM unnest(entries);
        UPDATE holds SET status = CASE WHEN t.amount > 0 THEN 'captured' ELSE 'released' END, captured = t.amount,
                         resolved_at = clock_timestamp()
        FROM unnest(ended, taken) AS t (id, amount) WHERE holds.id = t.id;
        UPDATE wallets SET balance = wallet.balance, frozen = wallet.frozen, seq = wallet.seq, hash = wallet.hash
        WHERE id = wallet.id;
        PERFORM ledger_windows_move(windows, spent, -returned);
    END IF;
    RETURN answers;
END $$;
