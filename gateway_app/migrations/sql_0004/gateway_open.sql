-- Whether what the caller decided by was read before somebody changed it. Callers that read it freshly send none.
CREATE FUNCTION gateway_is_stale(p jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT p->'revisions' IS NOT NULL AND (
        EXISTS (
            SELECT FROM revisions WHERE number <> (p->'revisions'->>name)::bigint AND p->'revisions' ? name
        ) OR EXISTS (
            SELECT FROM organizations
            WHERE id = (p->>'organization')::uuid
              AND policy_revision <> (p->'revisions'->>'policy')::bigint
        )
    )
$$;

-- Take the operation's key for this call. NULL: it is this call's; otherwise why it cannot be.
CREATE FUNCTION gateway_claim(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_organization uuid := (p->>'organization')::uuid;
    v_call uuid := (p->'call'->>'id')::uuid;
    v_operation gateway_operations;
    v_earlier gateway_calls;
BEGIN
    INSERT INTO gateway_operations (organization_id, operation_key, request_hash, call_id, created_at)
    VALUES (v_organization, p->'call'->>'operation_key', p->>'request_hash', v_call, now())
    ON CONFLICT (organization_id, operation_key) DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT v_operation FROM gateway_operations
    WHERE organization_id = v_organization AND operation_key = p->'call'->>'operation_key' FOR UPDATE;
    IF v_operation.request_hash <> p->>'request_hash' THEN
        RETURN '{"outcome": "conflict"}';
    END IF;
    SELECT * INTO v_earlier FROM gateway_calls WHERE id = v_operation.call_id;
    IF v_earlier.status = 'dispatched' THEN
        RETURN jsonb_build_object('outcome', 'in_progress', 'call', v_earlier.id);
    END IF;
    IF v_earlier.status = 'settled' AND v_earlier.ending IN ('completed', 'no_usage') THEN
        RETURN jsonb_build_object('outcome', 'replay', 'call', v_earlier.id);
    END IF;
    -- The earlier call brought nothing to give again: this one takes over.
    UPDATE gateway_operations SET call_id = v_call WHERE id = v_operation.id;
    RETURN NULL;
END $$;

-- Begin a call: hold its most and note it. "options" are the model asked for and the cheaper ones that a
-- budget may turn it into; the first that fits is taken.
CREATE FUNCTION gateway_open(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_refusal jsonb;
    v_option jsonb;
    v_number int := -1;
    v_held jsonb;
    v_call gateway_calls;
BEGIN
    IF gateway_is_stale(p) THEN
        RETURN '{"outcome": "stale"}';
    END IF;
    IF p->'call'->>'operation_key' <> '' THEN
        v_refusal := gateway_claim(p);
        IF v_refusal IS NOT NULL THEN
            RETURN v_refusal;
        END IF;
    END IF;
    FOR v_option IN SELECT value FROM jsonb_array_elements(p->'options') LOOP
        v_number := v_number + 1;
        v_held := ledger_hold(jsonb_build_object(
            'organization', p->'organization', 'user', p->'user', 'project', p->'call'->'project_id',
            'api_key', p->'call'->'api_key_id', 'hold', p->'call'->'hold_id', 'amount', v_option->'amount',
            'key', 'call:' || (p->'call'->>'id'), 'fingerprint', '', 'ref', p->'call'->'id',
            'trace', p->'call'->'trace_id', 'expires_at', now() + (v_option->>'hold_seconds')::float8 * interval '1 s'
        ));
        EXIT WHEN v_held->>'outcome' <> 'budget_exceeded' OR v_held->>'on_exceed' IS DISTINCT FROM 'fallback';
    END LOOP;
    IF v_held->>'outcome' <> 'held' THEN
        DELETE FROM gateway_operations
        WHERE organization_id = (p->>'organization')::uuid AND operation_key = p->'call'->>'operation_key'
          AND call_id = (p->'call'->>'id')::uuid;
        RETURN v_held;
    END IF;
    v_call := jsonb_populate_record(NULL::gateway_calls, (p->'call') || (v_option->'call'));
    v_call.lease_until := now() + (p->>'lease_seconds')::float8 * interval '1 s';
    INSERT INTO gateway_calls SELECT v_call.*;
    RETURN v_held || jsonb_build_object('outcome', 'opened', 'option', v_number);
END $$;
