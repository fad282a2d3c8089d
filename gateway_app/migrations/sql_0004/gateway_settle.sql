-- Store a try that has ended. A try under way is its call's: the row is written once.
CREATE FUNCTION gateway_attempt_add(p jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_attempts SELECT * FROM jsonb_populate_record(NULL::gateway_attempts, p);
END $$;

-- End a call: take what is due of its hold (asking for more where more was used), give the rest back, and write the
-- call, its last try, its usage and its answer. All or nothing, and once: "taken_over" says that it was settled before.
CREATE FUNCTION gateway_settle(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_id uuid := (p->'call'->>'id')::uuid;
    v_due numeric := (p->>'due')::numeric;
    v_held numeric := (p->>'held')::numeric;
    v_hold jsonb := jsonb_build_object(
        'hold', p->'hold', 'key', p->'key', 'trace', p->'call'->'trace_id', 'user', p->'user',
        'note', p->'call'->'ending', 'status', 'released'
    );
    v_charged numeric := 0;
    v_money jsonb;
BEGIN
    IF v_due > v_held THEN
        v_money := ledger_extend(v_hold || jsonb_build_object('amount', p->'due'));
        -- What wallet or budget cannot pay is a shortfall.
        IF v_money->>'outcome' IN ('insufficient_funds', 'budget_exceeded') THEN
            v_due := least(v_due, (v_money->>'amount')::numeric);
        END IF;
    END IF;
    IF v_due > 0 THEN
        v_money := ledger_capture(v_hold || jsonb_build_object('amount', v_due::text, 'fingerprint', ''));
        v_charged := v_due;
    ELSE
        v_money := ledger_release(v_hold || '{"fingerprint": ""}');
    END IF;
    IF v_money->>'outcome' = 'key_taken' THEN
        -- An earlier try of this very settlement was committed, and its answer lost on the way.
        SELECT charged_usd INTO STRICT v_charged FROM gateway_calls WHERE id = v_id;
        RETURN jsonb_build_object('outcome', 'settled', 'charged', v_charged::text);
    ELSIF v_money->>'outcome' NOT IN ('captured', 'released') THEN
        RETURN '{"outcome": "taken_over"}';
    END IF;
    UPDATE gateway_calls SET
        status = 'settled', settled_at = clock_timestamp(), charged_usd = v_charged,
        shortfall_usd = (p->>'due')::numeric - v_charged, ending = n.ending, error_code = n.error_code,
        input_tokens = n.input_tokens, cached_input_tokens = n.cached_input_tokens,
        cache_write_tokens = n.cache_write_tokens, output_tokens = n.output_tokens,
        reasoning_tokens = n.reasoning_tokens, images = n.images, cost_usd = n.cost_usd,
        first_token_ms = n.first_token_ms, latency_ms = n.latency_ms, finish_reason = n.finish_reason
    FROM jsonb_to_record(p->'call') AS n (
        ending text, error_code text, input_tokens int, cached_input_tokens int, cache_write_tokens int,
        output_tokens int, reasoning_tokens int, images int, cost_usd numeric, first_token_ms int, latency_ms int,
        finish_reason text
    )
    WHERE gateway_calls.id = v_id AND status <> 'settled';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call % was settled without its hold', v_id;
    END IF;
    IF p->'attempt' <> 'null' THEN
        PERFORM gateway_attempt_add(p->'attempt');
    END IF;
    PERFORM usage_insert((p->'usage') || jsonb_build_object('charged_usd', v_charged::text));
    IF p->'answer' <> 'null' THEN
        INSERT INTO gateway_answers (
            id, organization_id, user_id, created_at, text, tool_calls, http_status, content_type, body
        )
        SELECT v_id, (p->>'organization')::uuid, (p->>'user')::uuid, now(), text, coalesce(tool_calls, '[]'),
               http_status, coalesce(content_type, ''), coalesce(decode(base64, 'base64'), '')
        FROM jsonb_to_record(p->'answer')
            AS answer(text text, tool_calls jsonb, http_status int, content_type text, base64 text);
    END IF;
    RETURN jsonb_build_object(
        'outcome', 'settled', 'charged', v_charged::text, 'balance', v_money->'balance', 'frozen', v_money->'frozen'
    );
END $$;
