-- What happens to calls, in one transaction: [{"organization", "user" (of the first item), "do", "revisions" (of an
-- opening, or null), "items": [...]}] → a list of answers for each of these groups, at the same places. Items come in
-- the order of their ids. Calls that come together are written together: the hot row, an organization's wallet, is
-- locked, changed and flushed once for all of them, and each table is written by one statement.
CREATE FUNCTION gateway_books(p_groups jsonb) RETURNS jsonb LANGUAGE plpgsql
-- Calls and usage are partitioned: planned for each new id, they take longer to plan than to write. And a plan that is
-- kept must not rest on how small a table was when it was made.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_group record;
    v_answers jsonb;
    v_all jsonb[] := '{}';
BEGIN
    FOR v_group IN
        SELECT * FROM jsonb_to_recordset(p_groups)
            AS g (organization uuid, "user" text, "do" text, revisions jsonb, items jsonb)
    LOOP
        PERFORM set_config('app.organization_id', v_group.organization::text, true),
                set_config('app.user_id', coalesce(v_group."user", ''), true),
                set_config('app.operator', '', true);
        IF v_group."do" = 'settle' THEN
            v_answers := gateway_settle(v_group.organization, v_group.items);
        ELSIF v_group."do" = 'open' THEN
            v_answers := gateway_open(v_group.organization, v_group.revisions, v_group.items);
        ELSE
            SELECT jsonb_agg(CASE v_group."do"
                WHEN 'extend' THEN gateway_extend(value)
                WHEN 'retry' THEN gateway_retry(v_group.organization, value)
                WHEN 'lease' THEN gateway_lease(value)
            END) INTO v_answers FROM jsonb_array_elements(v_group.items);
        END IF;
        v_all := array_append(v_all, v_answers);
    END LOOP;
    RETURN to_jsonb(v_all);
END $$;
