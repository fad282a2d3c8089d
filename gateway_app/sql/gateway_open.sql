-- Whether what the caller decided by was read before somebody changed it. Callers that read it freshly send none.
CREATE FUNCTION gateway_is_stale(p_organization uuid, p_revisions jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM revisions WHERE p_revisions ? name AND number <> (p_revisions->>name)::bigint
    ) OR EXISTS (
        SELECT FROM organizations
        WHERE id = p_organization AND policy_revision <> (p_revisions->>'policy')::bigint
    );
END $$;

-- Take the operation's key for this call. NULL: it is this call's; otherwise why it cannot be.
CREATE FUNCTION gateway_claim(p_organization uuid, p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_call uuid := (p->>'id')::uuid;
    v_operation gateway_operations;
    v_earlier gateway_calls;
BEGIN
    INSERT INTO gateway_operations (organization_id, operation_key, request_hash, call_id, created_at)
    VALUES (p_organization, p->>'operation_key', p->>'request_hash', v_call, now())
    ON CONFLICT (organization_id, operation_key) DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT v_operation FROM gateway_operations
    WHERE organization_id = p_organization AND operation_key = p->>'operation_key' FOR UPDATE;
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

-- Note calls that are held for.
CREATE FUNCTION gateway_calls_add(p_organization uuid, p_items jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_calls (
        id, organization_id, user_id, created_at, endpoint, operation_key, model, asked_model, provider, purpose,
        api_key_id, project_id, task_id, run_id, step_key, prompt_version_id, client_address, is_stream, max_tokens,
        status, ending, error_code, hold_id, price_id, input_tokens, cached_input_tokens, cache_write_tokens,
        output_tokens, reasoning_tokens, images, cost_usd, charged_usd, shortfall_usd, finish_reason, owner,
        lease_until, trace_id
    )
    SELECT id, p_organization, "user", created_at, endpoint, operation_key, model, asked_model, provider, purpose,
           api_key, project, task, run, step_key, prompt_version, client_address, is_stream, max_tokens,
           'dispatched', '', '', hold, price, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', owner,
           now() + lease_seconds * interval '1 s', trace
    FROM jsonb_to_recordset(p_items) AS n (
        id uuid, "user" uuid, created_at timestamptz, endpoint text, operation_key text, model text, asked_model text,
        provider text, purpose text, api_key uuid, project uuid, task uuid, run uuid, step_key text,
        prompt_version uuid, client_address inet, is_stream boolean, max_tokens int, hold uuid, price uuid, owner text,
        lease_seconds float8, trace text
    );
END $$;

-- Begin a call that needs a closer look: one under an operation key, or one that may not fit. "cheaper" are the models
-- that a budget may turn it into; the first that fits is taken.
CREATE FUNCTION gateway_open_one(p_organization uuid, p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_refusal jsonb;
    v_cheaper jsonb;
    v_call jsonb := p;
    v_number int := 0;
    v_held jsonb;
BEGIN
    IF p->>'operation_key' <> '' THEN
        v_refusal := gateway_claim(p_organization, p);
        IF v_refusal IS NOT NULL THEN
            RETURN v_refusal;
        END IF;
    END IF;
    LOOP
        v_held := ledger_hold(v_call || jsonb_build_object(
            'organization', p_organization, 'fingerprint', '',
            'expires_at', now() + (v_call->>'hold_seconds')::float8 * interval '1 s'
        ));
        v_cheaper := p->'cheaper'->v_number;
        EXIT WHEN v_held->>'outcome' <> 'budget_exceeded' OR v_held->>'on_exceed' IS DISTINCT FROM 'fallback'
            OR v_cheaper IS NULL;
        v_number := v_number + 1;
        v_call := p || v_cheaper;
    END LOOP;
    IF v_held->>'outcome' <> 'held' THEN
        DELETE FROM gateway_operations
        WHERE organization_id = p_organization AND operation_key = p->>'operation_key'
          AND call_id = (p->>'id')::uuid;
        RETURN v_held;
    END IF;
    PERFORM gateway_calls_add(p_organization, jsonb_build_array(v_call));
    RETURN v_held || jsonb_build_object('outcome', 'held', 'option', v_number);
END $$;

-- Begin calls: hold their most and note them. Those that simply fit are written together.
CREATE FUNCTION gateway_open(p_organization uuid, p_revisions jsonb, p_items jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_answers jsonb[];
    v_number int;
BEGIN
    IF p_revisions IS NOT NULL AND gateway_is_stale(p_organization, p_revisions) THEN
        RETURN (SELECT jsonb_agg('{"outcome": "stale"}'::jsonb) FROM jsonb_array_elements(p_items));
    END IF;
    IF p_items @? '$[*].operation_key ? (@ != "")' THEN
        v_answers := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);
    ELSE
        v_answers := ledger_hold_many(p_organization, p_items);
        v_number := array_position(v_answers, NULL);
        IF v_number IS NULL THEN
            PERFORM gateway_calls_add(p_organization, p_items);
            RETURN to_jsonb(v_answers);
        END IF;
        PERFORM gateway_calls_add(p_organization, (
            SELECT coalesce(jsonb_agg(value), '[]') FROM jsonb_array_elements(p_items) WITH ORDINALITY AS i (value, n)
            WHERE v_answers[n] IS NOT NULL
        ));
    END IF;
    FOR v_number IN 1 .. cardinality(v_answers) LOOP
        IF v_answers[v_number] IS NULL THEN
            v_answers[v_number] := gateway_open_one(p_organization, p_items->(v_number - 1));
        END IF;
    END LOOP;
    RETURN to_jsonb(v_answers);
END $$;
