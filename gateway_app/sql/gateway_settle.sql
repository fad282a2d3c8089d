-- Store tries that have ended: [{...}], nulls among them stand for none. A try under way is its call's: its row is
-- written once.
CREATE FUNCTION gateway_attempts_add(p_organization uuid, p_attempts jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_attempts (
        id, organization_id, call_id, number, provider, status, http_status, error, upstream_request_id, started_at,
        ended_at, latency_ms
    )
    SELECT a.id, p_organization, a.call_id, a.number, a.provider, a.status, a.http_status, a.error,
           a.upstream_request_id, a.started_at, a.ended_at, a.latency_ms
    FROM jsonb_to_recordset(p_attempts) AS a (
        id uuid, call_id uuid, number smallint, provider text, status text, http_status smallint, error text,
        upstream_request_id text, started_at timestamptz, ended_at timestamptz, latency_ms int
    );
END $$;

-- Write how calls ended: their rows, last tries, usage and answers. Their holds have been ended before. The items come
-- in the order of their ids, so that the first and the last tell which months are written, before the others are opened.
CREATE FUNCTION gateway_calls_end(p_organization uuid, p_items jsonb) RETURNS void
LANGUAGE plpgsql STRICT AS $$
DECLARE
    v_first uuid := p_items->0->>'id';
    v_last uuid := p_items->-1->>'id';
    v_count int;
BEGIN
    UPDATE gateway_calls SET
        status = 'settled', settled_at = clock_timestamp(), charged_usd = n.charged_usd,
        shortfall_usd = n.due - n.charged_usd, ending = n.ending, error_code = n.error_code,
        input_tokens = n.uncached_input_tokens, cached_input_tokens = n.cached_input_tokens,
        cache_write_tokens = n.cache_write_tokens, output_tokens = n.visible_output_tokens,
        reasoning_tokens = n.reasoning_tokens, images = n.images, cost_usd = n.cost_usd,
        first_token_ms = n.first_token_ms, latency_ms = n.latency_ms, finish_reason = n.finish_reason
    FROM jsonb_to_recordset(p_items) AS n (
        id uuid, charged_usd numeric, due numeric, ending text, error_code text, uncached_input_tokens int,
        cached_input_tokens int, cache_write_tokens int, visible_output_tokens int, reasoning_tokens int, images int,
        cost_usd numeric, first_token_ms int, latency_ms int, finish_reason text
    )
    WHERE gateway_calls.id = n.id AND gateway_calls.id BETWEEN v_first AND v_last
      AND gateway_calls.status <> 'settled';
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> jsonb_array_length(p_items) THEN
        RAISE EXCEPTION 'a call was settled without its hold';
    END IF;
    PERFORM gateway_attempts_add(p_organization, jsonb_path_query_array(p_items, '$[*].attempt ? (@ != null)'));
    PERFORM usage_insert_many(p_organization, p_items);
    IF p_items @? '$[*].answer ? (@ != null)' THEN
        INSERT INTO gateway_answers (
            id, organization_id, user_id, created_at, text, tool_calls, http_status, content_type, body
        )
        SELECT n.id, p_organization, n."user", now(), a.text, coalesce(a.tool_calls, '[]'), a.http_status,
               coalesce(a.content_type, ''), coalesce(decode(a.base64, 'base64'), '')
        FROM jsonb_to_recordset(p_items) AS n (id uuid, "user" uuid, answer jsonb),
             jsonb_to_record(nullif(n.answer, 'null'))
             AS a (text text, tool_calls jsonb, http_status int, content_type text, base64 text)
        WHERE n.answer <> 'null';
    END IF;
END $$;

-- End a call that needs a closer look: one whose hold is not open, or holds less than is due (more is asked for then).
-- All or nothing, and once: "taken_over" says that it was settled before.
CREATE FUNCTION gateway_settle_one(p_organization uuid, p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_due numeric := (p->>'due')::numeric;
    v_hold jsonb := p || jsonb_build_object('note', p->'ending', 'status', 'released', 'fingerprint', '');
    v_charged numeric := 0;
    v_money jsonb;
BEGIN
    IF v_due > (p->>'held')::numeric THEN
        v_money := ledger_extend(v_hold || jsonb_build_object('amount', p->'due'));
        -- What wallet or budget cannot pay is a shortfall.
        IF v_money->>'outcome' IN ('insufficient_funds', 'budget_exceeded') THEN
            v_due := least(v_due, (v_money->>'amount')::numeric);
        END IF;
    END IF;
    IF v_due > 0 THEN
        v_money := ledger_capture(v_hold || jsonb_build_object('amount', v_due::text));
        v_charged := v_due;
    ELSE
        v_money := ledger_release(v_hold);
    END IF;
    IF v_money->>'outcome' = 'key_taken' THEN
        -- An earlier try of this very settlement was committed, and its answer lost on the way.
        SELECT charged_usd INTO STRICT v_charged FROM gateway_calls WHERE id = (p->>'id')::uuid;
        RETURN jsonb_build_object('outcome', 'settled', 'charged', v_charged::text);
    ELSIF v_money->>'outcome' NOT IN ('captured', 'released') THEN
        RETURN '{"outcome": "taken_over"}';
    END IF;
    PERFORM gateway_calls_end(
        p_organization, jsonb_build_array(p || jsonb_build_object('charged_usd', v_charged::text)));
    RETURN v_money || jsonb_build_object('outcome', 'settled', 'charged', v_charged::text);
END $$;

-- End calls: take what is due of their holds, give the rest back, and write what became of them. Those whose holds are
-- open and large enough are written together: each is charged what is due, which "charged_usd" says already.
CREATE FUNCTION gateway_settle(p_organization uuid, p_items jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_answers jsonb[] := ledger_settle_many(p_organization, p_items);
    v_number int := array_position(v_answers, NULL);
BEGIN
    IF v_number IS NULL THEN
        PERFORM gateway_calls_end(p_organization, p_items);
        RETURN to_jsonb(v_answers);
    END IF;
    PERFORM gateway_calls_end(p_organization, (
        SELECT jsonb_agg(value ORDER BY n) FROM jsonb_array_elements(p_items) WITH ORDINALITY AS i (value, n)
        WHERE v_answers[n] IS NOT NULL
    ));
    FOR v_number IN 1 .. cardinality(v_answers) LOOP
        IF v_answers[v_number] IS NULL THEN
            v_answers[v_number] := gateway_settle_one(p_organization, p_items->(v_number - 1));
        END IF;
    END LOOP;
    RETURN to_jsonb(v_answers);
END $$;
