"""No row refers to another tenant's row. PostgreSQL checks foreign keys past every policy, so a guessed id would do.

After each migration every foreign key between two tables with an organization gets a trigger: what it points to
must be visible, and of the same organization or shared. Keys that name the organization themselves need none.
"""

from typing import Any

from django.db import connections

_UNGUARDED = """
    SELECT child.relname, attribute.attname, parent.relname
    FROM pg_constraint fk
    JOIN pg_class child ON child.oid = fk.conrelid
    JOIN pg_class parent ON parent.oid = fk.confrelid
    JOIN pg_attribute attribute ON attribute.attrelid = fk.conrelid AND attribute.attnum = fk.conkey[1]
    WHERE fk.contype = 'f' AND cardinality(fk.conkey) = 1 AND child.relnamespace = 'public'::regnamespace
    -- A partition has the keys and the triggers of its table.
    AND fk.conparentid = 0 AND NOT child.relispartition
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = child.oid AND attname = 'organization_id')
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = parent.oid AND attname = 'organization_id')
    AND NOT EXISTS (
        SELECT FROM pg_constraint wide WHERE wide.contype = 'f' AND wide.conrelid = fk.conrelid
        AND wide.confrelid = fk.confrelid AND cardinality(wide.conkey) = 2 AND wide.conkey @> fk.conkey
    )
    AND NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = child.oid AND tgname = 'same_organization_' || attribute.attname
    )
    ORDER BY 1, 2
"""

# After the statement, not before it: rows written by one statement may point to each other.
_GUARD = """
    CREATE OR REPLACE FUNCTION {table}_{column}_same_organization() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.{column} IS NOT NULL AND NOT EXISTS (
            SELECT FROM {target} WHERE id = NEW.{column}
            AND (organization_id IS NULL OR organization_id = NEW.organization_id)
        ) THEN
            RAISE EXCEPTION '{table}.{column} refers to no row of this organization'
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '{table}_{column}_same_organization';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER same_organization_{column} AFTER INSERT OR UPDATE OF {column}, organization_id ON {table}
        FOR EACH ROW EXECUTE FUNCTION {table}_{column}_same_organization();
"""


def references_unguarded(executor: Any) -> list[tuple[str, str, str]]:
    """Return (table, column, target) of each foreign key between tenants' tables that nothing keeps at home."""
    executor.execute(_UNGUARDED)
    return list(executor.fetchall())


def references_guard(executor: Any) -> None:
    """Give each of them its trigger. Run as the tables' owner."""
    for table, column, target in references_unguarded(executor):
        # Names come from the database's own catalogue.
        executor.execute(_GUARD.format(table=table, column=column, target=target))


def guard_after_migrate(*, using: str, **_signal: Any) -> None:
    """``post_migrate``: whatever the migrations just made is guarded before anybody uses it."""
    with connections[using].cursor() as cursor:
        references_guard(cursor)
