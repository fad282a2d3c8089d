"""A migration operation that turns a table with UUIDv7 ids into one partition a month, and back.

The id begins with its time, so uniqueness by id holds over all months, and a month is a range of ids. Rows whose id
is of another kind, or lies outside the months made so far, are in the partition DEFAULT: no insert ever fails for
lack of a month. Partitions have row-level security forced and no policy: they are reached through their table only.

The months may also be those of another column, such as the id of the run that a row is about: then what belongs
together lies together, and what is unique within it stays unique.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from django.db.migrations import RunPython
from psycopg import sql

MONTHS_AHEAD = 3
FUNCTIONS = (Path(__file__).parent / "partitions.sql").read_text(encoding="utf-8")

_OBSTACLES = """
    SELECT 'the foreign key ' || conname || ' of ' || conrelid::regclass FROM pg_constraint
    WHERE contype = 'f' AND confrelid = %(table)s::regclass AND conparentid = 0 AND conrelid <> confrelid
    UNION ALL
    SELECT 'the view ' || v.oid::regclass FROM pg_class v
    JOIN pg_rewrite r ON r.ev_class = v.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(table)s::regclass AND v.relkind IN ('v', 'm')
"""
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
# Checks come with LIKE; the primary key first, because others may stand on it.
_CONSTRAINTS = """
    SELECT format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', %(table)s::text, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u', 'x', 'f') AND conparentid = 0
    ORDER BY contype <> 'p', conname
"""
_INDEXES = """
    SELECT replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') FROM pg_index i
    WHERE i.indrelid = %(table)s::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = i.indrelid)
    ORDER BY i.indexrelid
"""
_TRIGGERS = """
    SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal ORDER BY oid
"""
# Uniqueness by id alone cannot be promised over months of another column; the id first, so that it is found by itself.
_KEY = "PRIMARY KEY (id)", "PRIMARY KEY (id, {key})"
_POLICIES = """
    SELECT format('CREATE POLICY %%I ON %%I AS %%s FOR %%s TO %%s', policyname, tablename, permissive, cmd,
                  (SELECT string_agg(CASE role WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(role) END, ', ')
                   FROM unnest(roles) role))
        || coalesce(' USING (' || qual || ')', '') || coalesce(' WITH CHECK (' || with_check || ')', '')
    FROM pg_policies WHERE schemaname = 'public' AND tablename = %(table)s ORDER BY policyname
"""
_GRANTS = """
    SELECT format('GRANT %%s ON %%I TO %%s', string_agg(acl.privilege_type, ', '), %(table)s::text,
                  CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END)
    FROM pg_class c, aclexplode(c.relacl) acl
    WHERE c.oid = %(table)s::regclass AND acl.grantee <> c.relowner GROUP BY acl.grantee
"""
# Whoever writes the table has its months made. In a test or a small installation that may be the owner itself.
_WRITERS = """
    SELECT DISTINCT quote_ident(pg_get_userbyid(acl.grantee)) FROM pg_class c, aclexplode(c.relacl) acl
    WHERE c.oid = %(table)s::regclass AND acl.privilege_type = 'INSERT' AND acl.grantee NOT IN (0, c.relowner)
"""
_ROW_SECURITY = """
    SELECT format('ALTER TABLE %%I %%s ROW LEVEL SECURITY', %(table)s::text, word) FROM pg_class c,
        LATERAL (VALUES ('ENABLE', c.relrowsecurity), ('FORCE', c.relforcerowsecurity)) flags (word, is_on)
    WHERE c.oid = %(table)s::regclass AND is_on
"""


class _Table(NamedTuple):
    """What a table has beside its columns and checks, as the statements that give it to another."""

    columns: list[str]
    statements: list[str]
    writers: list[str]


def partition_monthly(table: str, *, key: str = "id") -> RunPython:
    """Make ``table`` a table partitioned by month of ``key``, a UUIDv7 made by `accounts_app.ids.uuid7`.

    Keeps keys, checks, indexes, generated columns, policies, triggers and grants, and all rows (it copies them under
    a lock). Unique keys must contain the key, and no foreign key may refer to the table: PostgreSQL, or this
    operation, refuses otherwise. With a ``key`` beside the id the primary key is made of both, in the database only.
    The months from the last one to three ahead are there at once.
    """
    return RunPython(
        partial(_rebuild, table=table, key=key, by_month=True), partial(_rebuild, table=table, key=key, by_month=False)
    )


def _rebuild(_apps: Any, editor: Any, *, table: str, key: str, by_month: bool) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        _refuse_obstacles(cursor, table)
        known = _keyed(_describe(cursor, table), key, by_month=by_month)
        before = f"{table}_before"
        _run(cursor, "ALTER TABLE {} RENAME TO {}", table, before)
        like = "CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)"
        if by_month:
            _run(cursor, f"{like} PARTITION BY RANGE ({{}})", table, before, key)
        else:
            _run(cursor, like, table, before)
        if by_month:
            _make_months(cursor, table, known)
        _move_rows(cursor, table, before, known.columns)
        # A foreign key is checked with a query that sees, as the owner under its own policies, what a tenant sees.
        cursor.execute("SELECT set_config('app.operator', 'migration', true)")
        for statement in known.statements:
            cursor.execute(statement)
        cursor.execute("SELECT set_config('app.operator', '', true)")


def _keyed(known: _Table, key: str, *, by_month: bool) -> _Table:
    """The table with the primary key that it is to have."""
    if key == "id":
        return known
    alone, both = _KEY[0], _KEY[1].format(key=key)
    now, then = (alone, both) if by_month else (both, alone)
    return known._replace(statements=[statement.replace(now, then) for statement in known.statements])


def _make_months(cursor: Any, table: str, known: _Table) -> None:
    cursor.execute(FUNCTIONS)
    for writer in known.writers:
        cursor.execute(f"GRANT EXECUTE ON FUNCTION partitions_make(text, integer) TO {writer}")
        cursor.execute(f"GRANT EXECUTE ON FUNCTION partitions_drop(text, date) TO {writer}")
        cursor.execute(f"GRANT EXECUTE ON FUNCTION partition_drop_copied(text, date, bigint) TO {writer}")
    _run(cursor, "COMMENT ON TABLE {} IS 'partitioned by month'", table)
    _run(cursor, "CREATE TABLE {} PARTITION OF {} DEFAULT", f"{table}_default", table)
    _run(cursor, "ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", f"{table}_default")
    cursor.execute("SELECT partitions_make(%s, %s)", [table, MONTHS_AHEAD])


def _move_rows(cursor: Any, table: str, before: str, columns: list[str]) -> None:
    # Its owner is under the policies too, and would copy nothing.
    _run(cursor, "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", before)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    copy = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
    cursor.execute(copy.format(sql.Identifier(table), names, names, sql.Identifier(before)))
    _run(cursor, "DROP TABLE {}", before)


def _describe(cursor: Any, table: str) -> _Table:
    in_order = (_CONSTRAINTS, _INDEXES, _TRIGGERS, _ROW_SECURITY, _POLICIES, _GRANTS)
    return _Table(
        columns=_names(cursor, _COLUMNS, table),
        statements=[statement for query in in_order for statement in _names(cursor, query, table)],
        writers=_names(cursor, _WRITERS, table),
    )


def _refuse_obstacles(cursor: Any, table: str) -> None:
    if obstacles := _names(cursor, _OBSTACLES, table):
        raise ValueError(f"{table} cannot be rebuilt while something stands on it: {', '.join(obstacles)}.")


def _names(cursor: Any, query: str, table: str) -> list[str]:
    cursor.execute(query, {"table": table})
    return [name for (name,) in cursor.fetchall()]


def _run(cursor: Any, statement: str, *names: str) -> None:
    cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
