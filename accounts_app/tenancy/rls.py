"""Migration operations for row-level security and append-only tables.

Policies read the settings in a sub-select, so that PostgreSQL evaluates them once per statement and
not once per row. After a transaction a local setting is the empty string, hence ``nullif``.
"""

from django.db.migrations import RunSQL

ORGANIZATION = "(select nullif(current_setting('app.organization_id', true), '')::uuid)"
USER = "(select nullif(current_setting('app.user_id', true), '')::uuid)"
OPERATOR = "(select coalesce(current_setting('app.operator', true), '') <> '')"
API_KEY_HASH = "(select nullif(current_setting('app.api_key_hash', true), ''))"

OWN_ROWS = f"organization_id = {ORGANIZATION}"


def enable_rls(table: str, *, using: str = OWN_ROWS, check: str = OWN_ROWS) -> RunSQL:
    """Force row-level security on ``table``: ``using`` is who reads, ``check`` what may be written; operators both."""
    return RunSQL(
        sql=f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY tenant_read ON {table} FOR SELECT USING ({using} OR {OPERATOR});
            CREATE POLICY tenant_insert ON {table} FOR INSERT WITH CHECK ({check} OR {OPERATOR});
            CREATE POLICY tenant_update ON {table} FOR UPDATE
                USING ({check} OR {OPERATOR}) WITH CHECK ({check} OR {OPERATOR});
            CREATE POLICY tenant_delete ON {table} FOR DELETE USING ({check} OR {OPERATOR});
        """,
        reverse_sql=f"""
            DROP POLICY tenant_read ON {table};
            DROP POLICY tenant_insert ON {table};
            DROP POLICY tenant_update ON {table};
            DROP POLICY tenant_delete ON {table};
            ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
            ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        """,
    )


def append_only(table: str) -> RunSQL:
    """Refuse UPDATE and DELETE on ``table`` with a trigger, for every role."""
    return RunSQL(
        sql=f"""
            CREATE FUNCTION {table}_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'restrict_violation';
            END $$;
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION {table}_refuse_change();
        """,
        reverse_sql=f"""
            DROP TRIGGER append_only ON {table};
            DROP FUNCTION {table}_refuse_change();
        """,
    )
