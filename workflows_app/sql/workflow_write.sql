-- Writes what happened to a run: events, ended attempts, and the new state of the row, or nothing at all.
--
-- `change`: {run, token (of the worker, null for others), seq (the last event that the writer knew), row (changed
-- columns), due_in (seconds, or null), events [{id, type, step_key, attempt, data, ago}], attempts [columns of
-- step_runs, began_ago (null: when the row says), ended_ago], lease (seconds to have it for, at least half of them;
-- null: leave; 0: give back), started_ago (when the run began, or null), trace}. What was `ago` was so many seconds
-- before now. Answers
--   "written"
--   "fenced"   another worker has the run, or nobody
--   "stale"    somebody else wrote an event meanwhile: read again, decide again
CREATE OR REPLACE FUNCTION workflow_write(change jsonb) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    run workflow_runs;
    moment timestamptz := clock_timestamp();
    before uuid;
BEGIN
    SELECT * INTO run FROM workflow_runs WHERE id = (change ->> 'run')::uuid FOR UPDATE;
    IF NOT FOUND OR run.token <> coalesce((change ->> 'token')::bigint, run.token) THEN
        RETURN 'fenced';
    END IF;
    IF run.event_seq <> (change ->> 'seq')::integer THEN
        RETURN 'stale';
    END IF;
    before := run.last_event_id;
    INSERT INTO run_events (id, organization_id, user_id, run_id, seq, prev_event_id, type, step_key, attempt, data,
                            trace_id, created_at)
    SELECT item.id, run.organization_id, run.user_id, run.id, run.event_seq + item.number,
           coalesce(lag(item.id) OVER (ORDER BY item.number), before),
           item.type, item.step_key, item.attempt, item.data, change ->> 'trace',
           moment - make_interval(secs => item.ago)
    FROM ROWS FROM (jsonb_to_recordset(change -> 'events')
        AS (id uuid, type text, step_key text, attempt smallint, data jsonb, ago float8)) WITH ORDINALITY
        AS item (id, type, step_key, attempt, data, ago, number);
    -- An insert of no rows would cost what one of one row does.
    IF change -> 'attempts' <> '[]' THEN
        INSERT INTO step_runs (id, organization_id, user_id, run_id, path, stage, key, position, action, via, attempt,
                               status, idempotency_key, output, error, model, tokens, cost_usd, created_at, started_at,
                               finished_at)
        SELECT item.id, run.organization_id, run.user_id, run.id, item.path, item.stage, item.key, item.position,
               item.action, item.via, item.attempt, item.status, item.idempotency_key, item.output, item.error,
               item.model, item.tokens, item.cost_usd, began.at, began.at,
               moment - make_interval(secs => item.ended_ago)
        FROM jsonb_to_recordset(change -> 'attempts') AS item (
            id uuid, path text, stage text, key text, position smallint, action text, via text, attempt smallint,
            status text, idempotency_key text, output jsonb, error jsonb, model text, tokens integer, cost_usd numeric,
            began_ago float8, ended_ago float8),
            LATERAL (
                SELECT coalesce(moment - make_interval(secs => item.began_ago), run.step_started_at, moment)
            ) began (at);
    END IF;
    run := jsonb_populate_record(run, change -> 'row');
    UPDATE workflow_runs SET
        status = run.status, stage = run.stage, next_stage = run.next_stage, steps = run.steps, cursor = run.cursor,
        visits = run.visits, attempt = run.attempt, attempts_made = run.attempts_made, failures = run.failures,
        on_fallback = run.on_fallback, steps_done = run.steps_done, context = run.context,
        wait = run.wait, signals = run.signals, error = run.error,
        cost_usd = run.cost_usd, event_seq = run.event_seq, last_event_id = run.last_event_id,
        stream_id = run.stream_id, trace_id = run.trace_id,
        cancel_requested_at = run.cancel_requested_at, pause_requested_at = run.pause_requested_at,
        crash_attempts = run.crash_attempts, token = run.token,
        started_at = coalesce(run.started_at, moment - make_interval(secs => (change ->> 'started_ago')::float8),
                              CASE WHEN run.status = 'running' THEN moment END),
        step_started_at = CASE WHEN (change ->> 'begins')::boolean THEN moment ELSE run.step_started_at END,
        deadline_at = coalesce(run.deadline_at, moment + make_interval(secs => (change ->> 'deadline_in')::float8)),
        due_at = CASE WHEN run.status IN ('waiting', 'paused') THEN
            coalesce((change ->> 'due_at')::timestamptz, moment + make_interval(secs => (change ->> 'due_in')::float8),
                     CASE WHEN change -> 'keeps_due' = 'true' THEN run.due_at END) END,
        finished_at = CASE WHEN run.status IN ('completed', 'failed', 'cancelled')
            THEN coalesce(run.finished_at, moment) END,
        announced_at = CASE WHEN run.status NOT IN ('completed', 'failed', 'cancelled') THEN NULL
            WHEN run.stream_id IS NULL THEN coalesce(run.announced_at, moment) ELSE run.announced_at END,
        lease_until = CASE
            WHEN change -> 'lease' = 'null' THEN run.lease_until
            WHEN change -> 'lease' = '0' THEN NULL
            -- One with half its time left is kept: the row changes in no index then.
            WHEN run.lease_until > moment + make_interval(secs => (change ->> 'lease')::float8 / 2) THEN run.lease_until
            ELSE moment + make_interval(secs => (change ->> 'lease')::float8) END,
        is_ready = (change ->> 'ready')::boolean,
        queue_rank = CASE WHEN (change ->> 'ready')::boolean AND NOT run.is_ready
            THEN workflow_rank(run.organization_id, run.started_at IS NOT NULL) ELSE run.queue_rank END
    WHERE id = run.id;
    RETURN 'written';
END $$;

-- Inserts a run and its first events, at its place in the queue. Returns whether no other run of the organization waits
-- there; null, and does nothing, when it has a run of that key already, or an unfinished one about that subject.
CREATE OR REPLACE FUNCTION workflow_insert(columns jsonb, events jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    owner uuid := (columns ->> 'organization_id')::uuid;
    is_alone boolean := NOT EXISTS (SELECT FROM workflow_runs WHERE organization_id = owner AND is_ready);
BEGIN
    INSERT INTO workflow_runs SELECT * FROM jsonb_populate_record(
        NULL::workflow_runs, columns || jsonb_build_object('queue_rank', workflow_rank(owner, false)))
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO run_events (id, organization_id, user_id, run_id, seq, prev_event_id, type, step_key, attempt, data,
                            trace_id, created_at)
    SELECT item.id, owner, (columns ->> 'user_id')::uuid, (columns ->> 'id')::uuid, item.seq, item.prev_event_id,
           item.type, item.step_key, item.attempt, item.data, columns ->> 'trace_id', clock_timestamp()
    FROM jsonb_to_recordset(events) AS item (
        id uuid, seq integer, prev_event_id uuid, type text, step_key text, attempt smallint, data jsonb);
    RETURN is_alone;
END $$;
