-- Record several calls of one organization that nobody has recorded yet, with the roll-ups beside them: the fields of
-- each are those of `usage_insert`. All of them or, where one was recorded before, none: unique_violation.
CREATE FUNCTION usage_insert_many(organization uuid, calls jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of_tasks boolean;
BEGIN
    WITH u AS (
        INSERT INTO openai_usage (
            id, organization_id, user_id, project_id, api_key_id, task_id, run_id, step_key, prompt_version_id,
            endpoint, provider, model, ending, uncached_input_tokens, cached_input_tokens, cache_write_tokens,
            visible_output_tokens, reasoning_tokens, price_id, cost_usd, charged_usd, trace_id, meta, created_at
        )
        SELECT c.id, organization, c."user", c.project, c.api_key, c.task, c.run, coalesce(c.step_key, ''),
               c.prompt_version, c.endpoint, c.provider, c.model, c.ending, c.uncached_input_tokens,
               c.cached_input_tokens, c.cache_write_tokens, c.visible_output_tokens, c.reasoning_tokens, c.price,
               c.cost_usd, c.charged_usd, c.trace, c.meta, clock_timestamp()
        FROM jsonb_to_recordset(calls) AS c (
            id uuid, "user" uuid, project uuid, api_key uuid, task uuid, run uuid, step_key text, prompt_version uuid,
            endpoint text, provider text, model text, ending text, uncached_input_tokens bigint,
            cached_input_tokens bigint, cache_write_tokens bigint, visible_output_tokens bigint,
            reasoning_tokens bigint, price uuid, cost_usd numeric, charged_usd numeric, trace text, meta jsonb
        )
        RETURNING created_at, model, project_id, api_key_id, user_id, task_id, input_tokens, output_tokens, cost_usd,
                  charged_usd
    ), days AS (
        INSERT INTO usage_daily AS d (
            organization_id, day, model, project_id, api_key_id, user_id, calls, input_tokens, output_tokens, cost_usd,
            charged_usd
        )
        SELECT organization, (created_at AT TIME ZONE 'UTC')::date, model, project_id, api_key_id, user_id, count(*),
               sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(charged_usd)
        FROM u GROUP BY 2, 3, 4, 5, 6
        ON CONFLICT (organization_id, day, model, project_id, api_key_id, user_id) DO UPDATE SET
            calls = d.calls + excluded.calls,
            input_tokens = d.input_tokens + excluded.input_tokens,
            output_tokens = d.output_tokens + excluded.output_tokens,
            cost_usd = d.cost_usd + excluded.cost_usd,
            charged_usd = d.charged_usd + excluded.charged_usd
    )
    SELECT bool_or(task_id IS NOT NULL) INTO of_tasks FROM u;
    IF of_tasks THEN
        INSERT INTO usage_by_task AS t (
            id, organization_id, task_id, calls, input_tokens, output_tokens, cost_usd, charged_usd
        )
        SELECT gen_random_uuid(), organization, c.task, count(*),
               sum(c.uncached_input_tokens + c.cached_input_tokens + c.cache_write_tokens),
               sum(c.visible_output_tokens + c.reasoning_tokens), sum(c.cost_usd), sum(c.charged_usd)
        FROM jsonb_to_recordset(calls) AS c (
            task uuid, uncached_input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
            visible_output_tokens bigint, reasoning_tokens bigint, cost_usd numeric, charged_usd numeric
        )
        WHERE c.task IS NOT NULL GROUP BY c.task
        ON CONFLICT (organization_id, task_id) DO UPDATE SET
            calls = t.calls + excluded.calls,
            input_tokens = t.input_tokens + excluded.input_tokens,
            output_tokens = t.output_tokens + excluded.output_tokens,
            cost_usd = t.cost_usd + excluded.cost_usd,
            charged_usd = t.charged_usd + excluded.charged_usd;
    END IF;
END $$;
