-- Write one entry of a wallet whose row the caller has locked, and return the wallet as it stands after it; the caller
-- saves it (ledger_save). Null: the wallet has an entry under this key already, and nothing was written.
-- The entry brings kind, amount, idempotency_key, fingerprint, user_id, hold_id, billing_ref_id, trace_id and note.
CREATE FUNCTION ledger_post(wallet wallets, entry transactions) RETURNS wallets LANGUAGE plpgsql AS $$
BEGIN
    CASE entry.kind
        WHEN 'hold' THEN
            wallet.frozen := wallet.frozen + entry.amount;
        WHEN 'release' THEN
            wallet.frozen := wallet.frozen - entry.amount;
        WHEN 'capture' THEN
            wallet.frozen := wallet.frozen - entry.amount;
            wallet.balance := wallet.balance - entry.amount;
        ELSE -- topup, refund, adjust
            wallet.balance := wallet.balance + entry.amount;
    END CASE;
    wallet.seq := wallet.seq + 1;
    entry.id := gen_random_uuid();
    entry.organization_id := wallet.organization_id;
    entry.wallet_id := wallet.id;
    entry.seq := wallet.seq;
    entry.balance_after := wallet.balance;
    entry.frozen_after := wallet.frozen;
    -- Under the wallet's lock: so the clock runs in the order of the entries.
    entry.created_at := clock_timestamp();
    entry.prev_hash := wallet.hash;
    wallet.hash := ledger_hash(entry);
    entry.hash := wallet.hash;
    INSERT INTO transactions VALUES (entry.*) ON CONFLICT (wallet_id, idempotency_key) DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN wallet;
END $$;

-- The wallet of a hold, locked; null when there is no such hold for the caller (or none of the organization, if one is
-- named). Whoever changes a hold locks its wallet first. So a hold needs no lock of its own, and deeds that come in any
-- order in two transactions cannot wait for each other in a ring, as long as both take several wallets in one order.
CREATE FUNCTION ledger_wallet_of(hold uuid, organization uuid) RETURNS wallets LANGUAGE plpgsql AS $$
DECLARE
    wallet wallets;
BEGIN
    SELECT w.* INTO wallet FROM wallets w
    WHERE w.id = (SELECT h.wallet_id FROM holds h
                  WHERE h.id = hold AND (organization IS NULL OR h.organization_id = organization))
    FOR UPDATE;
    RETURN wallet;
END $$;

-- In plpgsql, which keeps its plan.
CREATE FUNCTION ledger_save(wallet wallets) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE wallets SET balance = wallet.balance, frozen = wallet.frozen, seq = wallet.seq, hash = wallet.hash
    WHERE id = wallet.id;
END $$;

-- Why nothing was done: a request that came before under the same key, or what the caller found.
CREATE FUNCTION ledger_refusal(wallet uuid, key text, refusal jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM transactions WHERE wallet_id = wallet AND idempotency_key = key) THEN
        RETURN '{"outcome": "key_taken"}';
    END IF;
    RETURN refusal;
END $$;
