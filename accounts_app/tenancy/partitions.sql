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

-- The column that says which month a row lies in.
CREATE OR REPLACE FUNCTION partition_key(parent regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT quote_ident(attname) FROM pg_partitioned_table p
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = parent
$$;

-- Makes the months that are missing, from the last one to `months_ahead` ahead; returns their tables' names.
-- Rows that DEFAULT has caught meanwhile move to their month.
CREATE OR REPLACE FUNCTION partitions_make(parent_name text, months_ahead integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    parent regclass := public.partition_parent(parent_name);
    rest text := parent_name || '_default';
    key text := public.partition_key(parent);
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
        bounds := format('%s >= %L AND %s < %L', key, public.partition_bound(month),
                         key, public.partition_bound(month + interval '1 month'));
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', part, parent_name);
        -- From here nobody writes to DEFAULT; the months in use go on. As the owner is under its policies too
        -- (there are none, so it would see nothing) and append-only tables refuse to let a row go, both are lifted.
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY, DISABLE TRIGGER USER', rest);
        EXECUTE format('INSERT INTO public.%I (%s) SELECT %s FROM public.%I WHERE %s',
                       part, writable, writable, rest, bounds);
        EXECUTE format('DELETE FROM public.%I WHERE %s', rest, bounds);
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

-- Drops one month of which a copy was made elsewhere, if the copy has every row: `rows` of them, counted again here.
-- Rows come with ids of their making, so none of the last hour (the clocks of other machines may differ) means that
-- none came after the count. Answers whether it is gone now; the last whole month and the running one always stay.
CREATE OR REPLACE FUNCTION partition_drop_copied(parent_name text, month date, rows bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    parent regclass := public.partition_parent(parent_name);
    part text := parent_name || to_char(month, '_YYYY_MM');
    within text := format('%1$s >= %2$L AND %1$s < %3$L', public.partition_key(parent), public.partition_bound(month),
                          public.partition_bound(month + interval '1 month'));
    found bigint;
    is_moving boolean;
BEGIN
    IF coalesce(current_setting('app.operator', true), '') = '' THEN
        RAISE EXCEPTION 'only operators drop months' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF month <> date_trunc('month', month)
        OR month >= date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month' THEN
        RAISE EXCEPTION '% is no month that may go', month USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                   WHERE i.inhparent = parent AND c.relname = part) THEN
        RETURN true;
    END IF;
    -- Through the table: its policies let an operator see the rows, the partition has none.
    EXECUTE format('SELECT count(*) FROM public.%I WHERE %s', parent_name, within) INTO found;
    IF found <> rows THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent_name);
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %s AND id >= %L)', parent_name, within,
                   public.partition_bound((clock_timestamp() - interval '1 hour') AT TIME ZONE 'UTC')) INTO is_moving;
    IF is_moving THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', parent_name, part);
    EXECUTE format('DROP TABLE public.%I', part);
    EXECUTE format('COMMENT ON TABLE public.%I IS %L', parent_name, 'partitioned by month, kept from '
                   || to_char(month + interval '1 month', 'YYYY-MM-DD'));
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION partitions_make(text, integer), partitions_drop(text, date),
    partition_drop_copied(text, date, bigint) FROM PUBLIC;
