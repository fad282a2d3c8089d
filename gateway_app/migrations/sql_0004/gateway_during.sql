-- Let a call that is still open live on: NULL lease_seconds change nothing.
CREATE FUNCTION gateway_lease(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway_calls SET lease_until = now() + (p->>'lease_seconds')::float8 * interval '1 s'
    WHERE id = (p->'call'->>'id')::uuid AND status = 'dispatched';
    RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'renewed' ELSE 'taken_over' END);
END $$;

-- Hold more for an answer that outgrows its hold.
CREATE FUNCTION gateway_extend(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_money jsonb := ledger_extend(jsonb_build_object(
        'hold', p->'hold', 'amount', p->'amount', 'trace', p->'call'->'trace_id'
    ));
BEGIN
    IF v_money->>'outcome' = 'extended' THEN
        PERFORM gateway_lease(p);
    END IF;
    RETURN v_money;
END $$;

-- Store how the last try ended, and where the next goes.
CREATE FUNCTION gateway_retry(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_attempt_add(p->'attempt');
    UPDATE gateway_calls SET provider = p->>'provider' WHERE id = (p->'call'->>'id')::uuid;
    RETURN gateway_lease(p);
END $$;
