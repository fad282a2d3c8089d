-- Concurrency keys: at most `most` runs of an organization hold a key at a time. The advisory lock is the key's, so
-- that two runs cannot both take the last slot; it goes with the transaction.

CREATE FUNCTION workflow_slot_take(owner uuid, wanted text, most integer, taker uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(owner::text || wanted, 0));
    IF EXISTS (SELECT FROM workflow_slots WHERE organization_id = owner AND key = wanted AND run_id = taker) THEN
        RETURN true;
    END IF;
    IF (SELECT count(*) FROM workflow_slots WHERE organization_id = owner AND key = wanted) >= most THEN
        RETURN false;
    END IF;
    INSERT INTO workflow_slots (id, organization_id, key, run_id, created_at)
    VALUES (gen_random_uuid(), owner, wanted, taker, statement_timestamp());
    RETURN true;
END $$;

-- Frees the run's slots (one key, or all with NULL) and wakes as many runs that wait for them.
CREATE FUNCTION workflow_slots_free(holder uuid, only_key text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    freed record;
BEGIN
    FOR freed IN
        DELETE FROM workflow_slots WHERE run_id = holder AND (only_key IS NULL OR key = only_key)
        RETURNING organization_id, key
    LOOP
        UPDATE workflow_runs SET is_ready = true, queue_rank = workflow_rank(organization_id, true)
        WHERE id = (
            SELECT id FROM workflow_runs
            WHERE organization_id = freed.organization_id AND status = 'waiting' AND NOT is_ready
            AND lease_until IS NULL AND wait ->> 'kind' = 'slot' AND wait ->> 'key' = freed.key
            ORDER BY priority DESC, queue_rank LIMIT 1 FOR UPDATE SKIP LOCKED
        );
    END LOOP;
END $$;
