-- Months of a partitioned table. The runtime role owns no table, so it makes and drops months through two functions
-- that run as the owner: only for tables that carry the mark of `partition_monthly`, which only the owner can set.

CREATE OR REPLACE FUNCTION partition_bound(month timestamp) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The smallest UUIDv7 of the month's first millisecond, UTC; the same as accounts_app.ids.uuid7_floor.
    SELECT (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;

CREATE OR REPLACE FUNCTION partition_parent(wanted text) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    found regclass;
BEGIN
    SELECT c.oid INTO found FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = wanted AND c.relkind = 'p'
    AND obj_description(c.oid, 'pg_class') LIKE 'partitioned by month%';
    IF found IS NULL THEN
        RAISE EXCEPTION '% is not partitioned by month', wanted USING ERRCODE = 'wrong_object_type';
    END IF;
    RETURN found;
END $$;

-- Makes the months that are missing, from the last one to `months_ahead` ahead; returns their tables' names.
-- Rows that DEFAULT has caught meanwhile move to their month.
CREATE OR REPLACE FUNCTION partitions_make(parent_name text, months_ahead integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    parent regclass := public.partition_parent(parent_name);
    rest text := parent_name || '_default';
    writable text;
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
    part text;
    bounds text;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months_ahead is from 0 to 24' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO writable FROM pg_attribute
    WHERE attrelid = parent AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR month IN
        SELECT generate_series(this_month - interval '1 month', this_month + make_interval(months => months_ahead),
                               interval '1 month')
    LOOP
        part := parent_name || to_char(month, '_YYYY_MM');
        CONTINUE WHEN to_regclass(format('public.%I', part)) IS NOT NULL;
        bounds := format('%L AND id < %L', public.partition_bound(month),
                         public.partition_bound(month + interval '1 month'));
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', part, parent_name);
        -- From here nobody writes to DEFAULT; the months in use go on. As the owner is under its policies too
        -- (there are none, so it would see nothing) and append-only tables refuse to let a row go, both are lifted.
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY, DISABLE TRIGGER USER', rest);
        EXECUTE format('INSERT INTO public.%I (%s) SELECT %s FROM public.%I WHERE id >= %s',
                       part, writable, writable, rest, bounds);
        EXECUTE format('DELETE FROM public.%I WHERE id >= %s', rest, bounds);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY, ENABLE TRIGGER USER', rest);
        -- No policy of its own: nobody reaches it but through the table that it is a part of.
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent_name,
                       part, public.partition_bound(month), public.partition_bound(month + interval '1 month'));
        RETURN NEXT part;
    END LOOP;
END $$;

-- Drops the months that lie wholly before the month of `before`; returns their tables' names. The last whole month
-- and the running one always stay, and only a named operator context may ask. The table's mark then says from when
-- its rows are whole, for whoever compares them with other books.
CREATE OR REPLACE FUNCTION partitions_drop(parent_name text, before date) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    parent regclass := public.partition_parent(parent_name);
    kept timestamp := least(date_trunc('month', before::timestamp),
                            date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month');
    part text;
BEGIN
    IF coalesce(current_setting('app.operator', true), '') = '' THEN
        RAISE EXCEPTION 'only operators drop months' USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent AND c.relname ~ ('^' || parent_name || '_\d{4}_\d{2}$')
        AND c.relname < parent_name || to_char(kept, '_YYYY_MM')
        ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', parent_name, part);
        EXECUTE format('DROP TABLE public.%I', part);
        EXECUTE format('COMMENT ON TABLE public.%I IS %L', parent_name, 'partitioned by month, kept from '
                       || to_char(to_date(right(part, 7), 'YYYY_MM') + interval '1 month', 'YYYY-MM-DD'));
        RETURN NEXT part;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION partitions_make(text, integer), partitions_drop(text, date) FROM PUBLIC;
