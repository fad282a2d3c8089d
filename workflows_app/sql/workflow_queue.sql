-- Who is next. Ready runs are claimed by priority, then rank. A rank is a moment of the queue's own clock (start-time
-- fair queueing): a new run's is one more than its organization's last one that still waits, and than the clock, which
-- stands at the rank last claimed. So an organization with 10,000 waiting runs is at 10,000 of its own, while another's
-- first run is next but one. The clock is a sequence: outside of transactions, read and set without a lock.

CREATE SEQUENCE workflow_queue_clock MINVALUE 0 START 0;
-- Read and moved with last_value and setval, never with nextval.
SELECT setval('workflow_queue_clock', 0);

-- The runtime role owns no sequence; it moves this one through its owner.
CREATE FUNCTION workflow_clock_move(rank bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT setval('public.workflow_queue_clock', rank) FROM public.workflow_queue_clock WHERE last_value < rank
$$;
REVOKE ALL ON FUNCTION workflow_clock_move(bigint) FROM PUBLIC;
-- Whoever writes runs claims them.
DO $$
DECLARE
    writer text;
BEGIN
    FOR writer IN SELECT DISTINCT quote_ident(pg_get_userbyid(acl.grantee)) FROM pg_class c, aclexplode(c.relacl) acl
        WHERE c.oid = 'workflow_runs'::regclass AND acl.privilege_type = 'INSERT' AND acl.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION workflow_clock_move(bigint) TO %s', writer);
    END LOOP;
END $$;

-- A rank for a run of the organization that wants a worker now. Runs that have begun before come ahead of the
-- organization's new ones: what has cost money already is finished first.
CREATE FUNCTION workflow_rank(owner uuid, has_begun boolean) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    clock bigint;
    latest bigint;
BEGIN
    SELECT last_value INTO clock FROM workflow_queue_clock;
    SELECT max(queue_rank) INTO latest FROM workflow_runs
    WHERE organization_id = owner AND is_ready AND (NOT has_begun OR started_at IS NOT NULL);
    RETURN greatest(clock, coalesce(latest, 0)) + 1;
END $$;

-- Takes the given run (`wanted`), or the next one in the queue that is not of the organization `passed_over`.
-- The token fences whoever held it before. Returns no row when there is nothing to take; after a taken one, the
-- transaction is that of the run's organization.
CREATE FUNCTION workflow_claim(wanted uuid, passed_over uuid, lease_seconds double precision, holder text,
                               most_crashes integer)
RETURNS SETOF workflow_runs LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    chosen uuid;
    rank bigint;
    run workflow_runs;
BEGIN
    IF wanted IS NULL THEN
        SELECT id, queue_rank INTO chosen, rank FROM workflow_runs
        WHERE is_ready AND (passed_over IS NULL OR organization_id <> passed_over)
        ORDER BY priority DESC, queue_rank LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF rank > (SELECT last_value FROM workflow_queue_clock) THEN
            PERFORM workflow_clock_move(rank);
        END IF;
    ELSE
        SELECT id INTO chosen FROM workflow_runs
        WHERE id = wanted AND announced_at IS NULL AND (is_ready OR (
            lease_until < statement_timestamp() AND crash_attempts < most_crashes)) FOR UPDATE SKIP LOCKED;
    END IF;
    IF chosen IS NULL THEN
        RETURN;
    END IF;
    UPDATE workflow_runs SET
        token = token + 1,
        lease_until = statement_timestamp() + make_interval(secs => lease_seconds),
        crash_attempts = crash_attempts + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END,
        worker = left(holder, 120),
        is_ready = false
    WHERE id = chosen RETURNING * INTO run;
    -- The rest of the transaction is the run's owner's business.
    PERFORM set_config('app.organization_id', run.organization_id::text, true),
            set_config('app.user_id', coalesce(run.user_id::text, ''), true),
            set_config('app.operator', '', true);
    RETURN NEXT run;
END $$;

-- Puts runs back in the queue whose holder has let the lease run out, and those whose time has come: timers, tries
-- after a pause, deadlines. Counts a take-over of the step. Returns how many want a worker now.
CREATE FUNCTION workflow_wake(most_crashes integer, most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    woken integer;
BEGIN
    WITH leases AS (
        SELECT id FROM workflow_runs
        WHERE lease_until < statement_timestamp() AND crash_attempts < most_crashes
        ORDER BY lease_until LIMIT most FOR UPDATE SKIP LOCKED
    ), timers AS (
        SELECT id FROM workflow_runs
        WHERE due_at <= statement_timestamp() AND status = 'waiting' AND NOT is_ready AND lease_until IS NULL
        ORDER BY due_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deadlines AS (
        SELECT id FROM workflow_runs
        WHERE deadline_at <= statement_timestamp() AND finished_at IS NULL AND status IN ('waiting', 'paused')
        AND NOT is_ready AND lease_until IS NULL
        ORDER BY deadline_at LIMIT most FOR UPDATE SKIP LOCKED
    ), found AS (
        SELECT id FROM leases UNION SELECT id FROM timers UNION SELECT id FROM deadlines
    )
    UPDATE workflow_runs AS run SET
        is_ready = true,
        -- A paused run whose time is over ends; a claim takes no paused one.
        status = CASE WHEN run.status = 'paused' THEN 'pending' ELSE run.status END,
        crash_attempts = run.crash_attempts + CASE WHEN run.lease_until IS NULL THEN 0 ELSE 1 END,
        lease_until = NULL,
        queue_rank = workflow_rank(run.organization_id, true)
    FROM found WHERE run.id = found.id;
    GET DIAGNOSTICS woken = ROW_COUNT;
    RETURN woken;
END $$;
