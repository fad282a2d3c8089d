-- What happens to calls, in the order given, in one transaction. Each item says what to do ("do") and for whom; its
-- answer stands at the same place of the result. Calls that come together are written together: the hot row, an
-- organization's wallet, is then locked and flushed once for all of them.
CREATE FUNCTION gateway_books(p_items jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_item jsonb;
    v_answers jsonb[] := '{}';
BEGIN
    -- Calls and usage are partitioned: planned for each new id, they take longer to plan than to write.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    FOR v_item IN SELECT value FROM jsonb_array_elements(p_items) LOOP
        PERFORM set_config('app.organization_id', v_item->>'organization', true),
                set_config('app.user_id', coalesce(v_item->>'user', ''), true),
                set_config('app.operator', '', true);
        v_answers := v_answers || CASE v_item->>'do'
            WHEN 'open' THEN gateway_open(v_item)
            WHEN 'settle' THEN gateway_settle(v_item)
            WHEN 'extend' THEN gateway_extend(v_item)
            WHEN 'retry' THEN gateway_retry(v_item)
            WHEN 'lease' THEN gateway_lease(v_item)
        END;
    END LOOP;
    RETURN to_jsonb(v_answers);
END $$;
