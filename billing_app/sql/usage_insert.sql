-- Record one call, once, with the roll-ups beside it: {"id": the call's, "organization", "user", "project", "api_key",
-- "task", "run", "step_key", "prompt_version", "endpoint", "provider", "model", "ending", "uncached_input_tokens",
-- "cached_input_tokens", "cache_write_tokens", "visible_output_tokens", "reasoning_tokens", "price", "cost_usd",
-- "charged_usd", "trace", "meta", "created_at"} → {"outcome": "recorded"} or {"outcome": "exists"}.
CREATE FUNCTION usage_insert(call jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    u openai_usage;
BEGIN
    INSERT INTO openai_usage (
        id, organization_id, user_id, project_id, api_key_id, task_id, run_id, step_key, prompt_version_id, endpoint,
        provider, model, ending, uncached_input_tokens, cached_input_tokens, cache_write_tokens,
        visible_output_tokens, reasoning_tokens, price_id, cost_usd, charged_usd, trace_id, meta, created_at
    )
    SELECT c.id, c.organization, c."user", c.project, c.api_key, c.task, c.run, coalesce(c.step_key, ''),
           c.prompt_version, coalesce(c.endpoint, ''), c.provider, c.model, c.ending,
           coalesce(c.uncached_input_tokens, 0), coalesce(c.cached_input_tokens, 0),
           coalesce(c.cache_write_tokens, 0), coalesce(c.visible_output_tokens, 0), coalesce(c.reasoning_tokens, 0),
           c.price, c.cost_usd, c.charged_usd, coalesce(c.trace, ''), coalesce(c.meta, '{}'),
           coalesce(c.created_at, clock_timestamp())
    FROM jsonb_to_record(call) AS c (
        id uuid, organization uuid, "user" uuid, project uuid, api_key uuid, task uuid, run uuid, step_key text,
        prompt_version uuid, endpoint text, provider text, model text, ending text, uncached_input_tokens bigint,
        cached_input_tokens bigint, cache_write_tokens bigint, visible_output_tokens bigint, reasoning_tokens bigint,
        price uuid, cost_usd numeric, charged_usd numeric, trace text, meta jsonb, created_at timestamptz
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING * INTO u;
    IF NOT FOUND THEN
        RETURN '{"outcome": "exists"}';
    END IF;
    INSERT INTO usage_daily AS d (
        organization_id, day, model, project_id, api_key_id, user_id, calls, input_tokens, output_tokens, cost_usd,
        charged_usd
    )
    VALUES (u.organization_id, (u.created_at AT TIME ZONE 'UTC')::date, u.model, u.project_id, u.api_key_id,
            u.user_id, 1, u.input_tokens, u.output_tokens, u.cost_usd, u.charged_usd)
    ON CONFLICT (organization_id, day, model, project_id, api_key_id, user_id) DO UPDATE SET
        calls = d.calls + 1,
        input_tokens = d.input_tokens + excluded.input_tokens,
        output_tokens = d.output_tokens + excluded.output_tokens,
        cost_usd = d.cost_usd + excluded.cost_usd,
        charged_usd = d.charged_usd + excluded.charged_usd;
    IF u.task_id IS NOT NULL THEN
        INSERT INTO usage_by_task AS t (
            id, organization_id, task_id, calls, input_tokens, output_tokens, cost_usd, charged_usd
        )
        VALUES (gen_random_uuid(), u.organization_id, u.task_id, 1, u.input_tokens, u.output_tokens, u.cost_usd,
                u.charged_usd)
        ON CONFLICT (organization_id, task_id) DO UPDATE SET
            calls = t.calls + 1,
            input_tokens = t.input_tokens + excluded.input_tokens,
            output_tokens = t.output_tokens + excluded.output_tokens,
            cost_usd = t.cost_usd + excluded.cost_usd,
            charged_usd = t.charged_usd + excluded.charged_usd;
    END IF;
    RETURN '{"outcome": "recorded"}';
END $$;
