-- The roll-ups of ended runs and steps: counted by a job, not by the engine, from rows that never change once they are
-- written. A watermark says how far; it is moved in the transaction that counts, so a job that is killed has counted
-- nothing, and two at a time count each row once.

-- The moment up to which everything has been written. Whoever may still commit a row bears a moment after it: rows take
-- the clock's time within their transaction. `lag` (seconds) is what the clocks of web servers may be behind.
CREATE FUNCTION workflow_statistics_horizon(lag double precision) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT least(statement_timestamp(), min(CASE
        WHEN backend_xid IS NOT NULL THEN xact_start
        WHEN state = 'active' THEN query_start END)) - make_interval(secs => lag)
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
$$;

-- The place of a duration among buckets whose borders grow by 1.05 / 0.95: what is read from one is at most 5 % off
-- (DDSketch, Masson, Rim and Lee 2019). 0 holds all up to a millisecond, -1 what has no duration.
CREATE FUNCTION workflow_statistics_bucket(duration_ms double precision) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN duration_ms IS NULL THEN -1
        ELSE ceil(ln(greatest(duration_ms, 1)::double precision) / ln(1.05::double precision / 0.95)) END::smallint
$$;

-- What each happening counts in: minutes, hours and days of all together, and days of its organization. Minutes and
-- hours are kept for a while only; later ones need not be written at all.
CREATE FUNCTION workflow_statistics_levels(owner uuid, at timestamptz)
RETURNS TABLE (organization_id uuid, grain text, since timestamptz) LANGUAGE sql STABLE AS $$
    SELECT level.organization_id, level.grain, date_trunc(level.grain, at, 'UTC')
    FROM (VALUES (NULL::uuid, 'minute', interval '3 hours'), (NULL, 'hour', interval '15 days'), (NULL, 'day', NULL),
                 (owner, 'day', NULL)) AS level (organization_id, grain, kept)
    WHERE level.kept IS NULL OR at > statement_timestamp() - level.kept
$$;

-- Counts what happened to runs since the watermark, about `most` events. Returns how many; 0: nothing, or another job
-- is at it. A run counts once, at its last end: when a failed one is taken up again, its end is taken back.
CREATE FUNCTION workflow_count_runs(lag double precision, most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    since timestamptz;
    until timestamptz;
    number integer;
BEGIN
    SELECT at INTO since FROM statistics_watermarks WHERE name = 'runs' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    until := workflow_statistics_horizon(lag);
    until := coalesce((
        SELECT created_at FROM run_events
        WHERE type IN ('run.created', 'run.forked', 'run.retried', 'run.completed', 'run.failed', 'run.cancelled')
        AND created_at > since AND created_at <= until ORDER BY created_at OFFSET most - 1 LIMIT 1), until);
    IF until <= since THEN
        RETURN 0;
    END IF;
    WITH happened AS MATERIALIZED (
        SELECT event.run_id, event.seq, event.type, event.created_at, event.data, coalesce(run.origin_seq, 0) AS shared,
               run.organization_id, run.config_id, run.started_at,
               CASE WHEN run.parent_id IS NULL THEN run.scope ELSE 'child' END AS kind
        FROM run_events AS event JOIN workflow_runs AS run ON run.id = event.run_id
        WHERE event.type IN ('run.created', 'run.forked', 'run.retried', 'run.completed', 'run.failed', 'run.cancelled')
        AND event.created_at > since AND event.created_at <= until
        -- A replay bears copies of what it shares with its origin; those were counted there.
        AND event.seq > coalesce(run.origin_seq, 0)
    ), items AS (
        SELECT 1 AS sign, run_id, organization_id, config_id, kind, started_at, type, created_at, data FROM happened
        WHERE type <> 'run.retried'
        UNION ALL
        SELECT -1, run_id, organization_id, config_id, kind, started_at, ended.type, ended.created_at, ended.data
        FROM happened CROSS JOIN LATERAL (
            SELECT before.type, before.created_at, before.data FROM run_events AS before
            WHERE before.run_id = happened.run_id AND before.seq < happened.seq AND before.seq > happened.shared
            AND before.type IN ('run.completed', 'run.failed', 'run.cancelled') ORDER BY before.seq DESC LIMIT 1
        ) AS ended WHERE happened.type = 'run.retried'
    ), measured AS (
        SELECT sign, run_id, organization_id, config_id, kind, created_at,
               CASE WHEN type IN ('run.created', 'run.forked') THEN 'created' ELSE substr(type, 5) END AS status,
               left(coalesce(data -> 'error' ->> 'code', ''), 60) AS error_code,
               CASE WHEN type NOT IN ('run.created', 'run.forked')
                   THEN extract(epoch FROM created_at - started_at)::double precision * 1000 END AS duration_ms,
               CASE WHEN type NOT IN ('run.created', 'run.forked')
                   THEN coalesce((data ->> 'cost_usd')::numeric, 0) ELSE 0 END AS cost_usd
        FROM items
    )
    INSERT INTO run_statistics (organization_id, grain, since, config_id, kind, status, error_code, bucket, count,
                                cost_usd, duration_ms, example_id)
    SELECT level.organization_id, level.grain, level.since, item.config_id, item.kind, item.status, item.error_code,
           workflow_statistics_bucket(item.duration_ms), sum(item.sign), sum(item.sign * item.cost_usd),
           sum(item.sign * coalesce(round(item.duration_ms)::bigint, 0)),
           (array_agg(item.run_id ORDER BY item.sign DESC, item.created_at DESC))[1]
    FROM measured AS item CROSS JOIN LATERAL workflow_statistics_levels(item.organization_id, item.created_at) AS level
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    HAVING sum(item.sign) <> 0 OR sum(item.sign * item.cost_usd) <> 0
    ON CONFLICT ON CONSTRAINT run_statistic_once DO UPDATE SET
        count = run_statistics.count + excluded.count,
        cost_usd = run_statistics.cost_usd + excluded.cost_usd,
        duration_ms = run_statistics.duration_ms + excluded.duration_ms,
        example_id = CASE WHEN excluded.count > 0 THEN excluded.example_id ELSE run_statistics.example_id END;
    SELECT count(*) INTO number FROM run_events
    WHERE type IN ('run.created', 'run.forked', 'run.retried', 'run.completed', 'run.failed', 'run.cancelled')
    AND created_at > since AND created_at <= until;
    UPDATE statistics_watermarks SET at = until, counted = counted + number
    WHERE name = 'runs';
    RETURN number;
END $$;

-- The same for attempts at steps, which are written once and for all when they have ended.
CREATE FUNCTION workflow_count_steps(lag double precision, most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    since timestamptz;
    until timestamptz;
    number integer;
BEGIN
    SELECT at INTO since FROM statistics_watermarks WHERE name = 'steps' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    until := workflow_statistics_horizon(lag);
    until := coalesce((
        SELECT finished_at FROM step_runs WHERE finished_at > since AND finished_at <= until
        ORDER BY finished_at OFFSET most - 1 LIMIT 1), until);
    IF until <= since THEN
        RETURN 0;
    END IF;
    WITH measured AS (
        SELECT step.run_id, step.organization_id, run.config_id, step.stage, step.key, step.status, step.finished_at,
               coalesce(nullif(step.via, ''), step.action) AS handler, step.tokens, step.cost_usd,
               left(coalesce(step.error ->> 'code', ''), 60) AS error_code,
               CASE WHEN step.status <> 'skipped'
                   THEN extract(epoch FROM step.finished_at - step.started_at)::double precision * 1000 END AS duration_ms
        FROM step_runs AS step JOIN workflow_runs AS run ON run.id = step.run_id
        WHERE step.finished_at > since AND step.finished_at <= until
    )
    INSERT INTO step_statistics (organization_id, grain, since, config_id, stage, key, handler, status, error_code,
                                 bucket, count, tokens, cost_usd, duration_ms, example_id)
    SELECT level.organization_id, level.grain, level.since, item.config_id, item.stage, item.key, item.handler,
           item.status, item.error_code, workflow_statistics_bucket(item.duration_ms), count(*), sum(item.tokens),
           sum(item.cost_usd), sum(coalesce(round(item.duration_ms)::bigint, 0)),
           (array_agg(item.run_id ORDER BY item.finished_at DESC))[1]
    FROM measured AS item CROSS JOIN LATERAL workflow_statistics_levels(item.organization_id, item.finished_at) AS level
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    ON CONFLICT ON CONSTRAINT step_statistic_once DO UPDATE SET
        count = step_statistics.count + excluded.count,
        tokens = step_statistics.tokens + excluded.tokens,
        cost_usd = step_statistics.cost_usd + excluded.cost_usd,
        duration_ms = step_statistics.duration_ms + excluded.duration_ms,
        example_id = excluded.example_id;
    SELECT count(*) INTO number FROM step_runs WHERE finished_at > since AND finished_at <= until;
    UPDATE statistics_watermarks SET at = until, counted = counted + number
    WHERE name = 'steps';
    RETURN number;
END $$;

-- The moment that an id begins with (UUIDv7); null for ids of another kind.
CREATE FUNCTION workflow_moment(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN substr(id::text, 15, 1) = '7' THEN
        to_timestamp(('x' || substr(id::text, 1, 8) || substr(id::text, 10, 4))::bit(48)::bigint / 1000.0) END
$$;

-- Since when a run in the queue wants a worker: since its last event, or since what it waited for was due.
CREATE FUNCTION workflow_ready_since(last_event uuid, created timestamptz, due timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT greatest(coalesce(workflow_moment(last_event), created),
                    CASE WHEN due <= statement_timestamp() THEN due END)
$$;
