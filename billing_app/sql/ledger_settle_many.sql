-- End the holds of several calls of one organization: [{"hold", "due", "key", "trace", "user", "ending"}] → at the same
-- places {"outcome": "settled", "charged", "balance", "frozen"}: captured what is due or, where nothing is, released
-- with the ending as its note. Null is one that is not open or holds less than is due: nothing was done for it, and
-- `ledger_capture` or `ledger_release` is to be asked.
--
-- Every row is looked up by its key, whatever the planner believes: it takes a table without statistics for a small one,
-- and keeps a plan that reads it whole.
CREATE OR REPLACE FUNCTION ledger_settle_many(organization uuid, calls jsonb) RETURNS jsonb[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
-- In few expressions: each is made ready anew in every transaction, which costs more than to evaluate it.
DECLARE
    wallet wallets;
    call record;
    entry transactions;
    entries transactions[];
    ended uuid[];
    taken numeric[];
    windows uuid[] := '{}';
    spent numeric := 0;
    returned numeric := 0;
    answers jsonb[];
BEGIN
    SELECT * INTO wallet FROM wallets WHERE organization_id = organization FOR UPDATE;
    FOR call IN
        SELECT c.*, h.amount, h.amount - c.due AS rest, h.billing_ref_id AS ref, h.budget_windows,
               'auto:rest:' || c.hold AS rest_key
        FROM jsonb_to_recordset(calls) AS c (
            hold uuid, due numeric(20, 10), key text, trace text, "user" uuid, ending text
        )
        -- What is open is asked last: the index of open holds would be read whole for each.
        LEFT JOIN LATERAL (
            SELECT * FROM holds WHERE id = c.hold AND organization_id = organization OFFSET 0
        ) AS h ON h.status = 'open'
    LOOP
        IF (call.rest >= 0) IS NOT TRUE THEN
            answers := array_append(answers, NULL);
            CONTINUE;
        END IF;
        IF windows <> call.budget_windows THEN
            IF returned > 0 THEN
                PERFORM ledger_windows_move(windows, spent, -returned);
                spent := 0;
                returned := 0;
            END IF;
            windows := call.budget_windows;
        END IF;
        IF windows <> '{}' THEN
            spent := spent + call.due;
            returned := returned + call.amount;
        END IF;
        ended := array_append(ended, call.hold);
        taken := array_append(taken, call.due);
        IF call.due > 0 THEN
            wallet.balance := wallet.balance - call.due;
            wallet.frozen := wallet.frozen - call.due;
            wallet.seq := wallet.seq + 1;
            -- In the order of the table's columns.
            entry := ROW(
                gen_random_uuid(), call."user", wallet.seq, 'capture', call.due, wallet.balance, wallet.frozen,
                call.key, '', call.ref, call.trace, '', clock_timestamp(), call.hold, organization, wallet.id, '',
                wallet.hash
            );
            wallet.hash := ledger_hash(entry);
            entry.hash := wallet.hash;
            entries := array_append(entries, entry);
        END IF;
        IF call.rest > 0 THEN
            wallet.frozen := wallet.frozen - call.rest;
            wallet.seq := wallet.seq + 1;
            -- What is released whole is released by the request itself, the rest of a capture by us.
            entry := ROW(
                gen_random_uuid(), call."user", wallet.seq, 'release', call.rest, wallet.balance, wallet.frozen,
                CASE WHEN call.due > 0 THEN call.rest_key ELSE call.key END,
                CASE WHEN call.due > 0 THEN encode(sha256(convert_to(call.rest_key, 'UTF8')), 'hex') ELSE '' END,
                call.ref, call.trace, CASE WHEN call.due > 0 THEN '' ELSE call.ending END, clock_timestamp(),
                call.hold, organization, wallet.id, '', wallet.hash
            );
            wallet.hash := ledger_hash(entry);
            entry.hash := wallet.hash;
            entries := array_append(entries, entry);
        END IF;
        answers := array_append(answers, jsonb_build_object(
            'outcome', 'settled', 'charged', call.due::text, 'balance', wallet.balance::text,
            'frozen', wallet.frozen::text));
    END LOOP;
    IF entries IS NOT NULL THEN
        -- A hold that comes twice raises unique_violation: then nothing was done for any of them.
        WITH written AS (INSERT INTO transactions SELECT * FROM unnest(entries)),
             resolved AS (
                UPDATE holds SET status = CASE WHEN t.amount > 0 THEN 'captured' ELSE 'released' END,
                                 captured = t.amount, resolved_at = clock_timestamp()
                FROM unnest(ended, taken) AS t (id, amount) WHERE holds.id = t.id
             )
        UPDATE wallets SET balance = wallet.balance, frozen = wallet.frozen, seq = wallet.seq, hash = wallet.hash
        WHERE id = wallet.id;
        IF returned > 0 THEN
            PERFORM ledger_windows_move(windows, spent, -returned);
        END IF;
    END IF;
    RETURN answers;
END $$;
