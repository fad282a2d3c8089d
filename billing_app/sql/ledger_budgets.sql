-- The budgets of one call, with this period's windows: made where missing. The caller has locked the wallet, and so
-- nobody else changes a window of this organization meanwhile.
CREATE FUNCTION ledger_windows(
    organization uuid, project uuid, member uuid, api_key uuid,
    OUT budget_id uuid, OUT scope text, OUT limit_usd numeric, OUT on_exceed text, OUT is_active boolean,
    OUT window_id uuid, OUT taken numeric
) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    b record;
BEGIN
    FOR b IN
        SELECT budgets.*, w.id AS open_window, w.spent + w.held AS already, start
        FROM budgets
        CROSS JOIN LATERAL (
            SELECT CASE period WHEN 'day' THEN today
                               WHEN 'month' THEN today - (extract(day FROM today)::int - 1)
                               ELSE date '1970-01-01' END AS start
        ) period_of
        LEFT JOIN budget_windows w ON w.budget_id = budgets.id AND w.period_start = start
        WHERE budgets.organization_id = organization
          AND (budgets.scope = 'organization'
               OR (budgets.scope = 'project' AND budgets.subject_id = project)
               OR (budgets.scope = 'member' AND budgets.subject_id = member)
               OR (budgets.scope = 'key' AND budgets.subject_id = api_key))
        ORDER BY budgets.id
    LOOP
        budget_id := b.id;
        scope := b.scope;
        limit_usd := b.limit_usd;
        on_exceed := b.on_exceed;
        is_active := b.is_active;
        window_id := b.open_window;
        taken := b.already;
        IF window_id IS NULL THEN
            -- Spent before the budget was set. Later periods begin with nothing: the budget sees all of their holds.
            SELECT coalesce(sum(d.charged_usd), 0) INTO taken FROM usage_daily d
            WHERE b.start <= (b.created_at AT TIME ZONE 'UTC')::date
              AND d.organization_id = organization AND d.day >= b.start
              AND CASE b.scope WHEN 'project' THEN d.project_id = project WHEN 'member' THEN d.user_id = member
                               WHEN 'key' THEN d.api_key_id = api_key ELSE true END;
            INSERT INTO budget_windows (id, organization_id, budget_id, period_start, opening, spent, held)
            VALUES (gen_random_uuid(), organization, b.id, b.start, taken, taken, 0)
            RETURNING id INTO window_id;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Move what a hold has in its windows: reserve, count as spent, or give back.
CREATE FUNCTION ledger_windows_move(windows uuid[], by_spent numeric, by_held numeric) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF windows <> '{}' THEN
        UPDATE budget_windows SET spent = spent + by_spent, held = held + by_held WHERE id = ANY (windows);
    END IF;
END $$;

CREATE FUNCTION ledger_over_budget(budget uuid, scope text, limit_usd numeric, taken numeric, on_exceed text)
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'outcome', 'budget_exceeded', 'budget', budget, 'scope', scope, 'limit', limit_usd::text,
        'left', greatest(limit_usd - taken, 0)::text, 'on_exceed', on_exceed
    )
$$;
