"""Migration operations that count changes, so that a cache needs no question of its own: whatever write matters checks
the number it was filled at.

They count in an operator context of their own, for that one statement: whoever may change a row may always have it
counted, also for organizations which that person does not see.
"""

from django.db.migrations import RunSQL

FUNCTIONS = """
    CREATE FUNCTION policy_revision_raise(organizations_of uuid[]) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        before text := coalesce(current_setting('app.operator', true), '');
    BEGIN
        PERFORM set_config('app.operator', 'policy_revision', true);
        UPDATE organizations SET policy_revision = policy_revision + 1 WHERE id = ANY (organizations_of);
        PERFORM set_config('app.operator', before, true);
    END $$;

    CREATE FUNCTION policy_revision_bump() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM policy_revision_raise(ARRAY[OLD.organization_id, NEW.organization_id]);
        RETURN NULL;
    END $$;

    CREATE FUNCTION users_policy_revision_bump() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        before text := coalesce(current_setting('app.operator', true), '');
        mine uuid[];
    BEGIN
        PERFORM set_config('app.operator', 'policy_revision', true);
        SELECT array_agg(organization_id ORDER BY organization_id) INTO mine FROM memberships WHERE user_id = NEW.id;
        PERFORM set_config('app.operator', before, true);
        PERFORM policy_revision_raise(mine);
        RETURN NULL;
    END $$;

    CREATE FUNCTION policy_revision_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- A row that was read earlier and saved whole must not turn the number back.
        NEW.policy_revision = greatest(NEW.policy_revision, OLD.policy_revision);
        RETURN NEW;
    END $$;

    CREATE FUNCTION revision_bump() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE revisions SET number = number + 1 WHERE name = TG_ARGV[0];
        RETURN NULL;
    END $$;

    CREATE TRIGGER policy_revision_keep BEFORE UPDATE OF policy_revision ON organizations
        FOR EACH ROW EXECUTE FUNCTION policy_revision_keep();
    CREATE TRIGGER users_policy_revision AFTER UPDATE OF is_active ON users
        FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) EXECUTE FUNCTION users_policy_revision_bump();
"""

NO_FUNCTIONS = """
    DROP TRIGGER users_policy_revision ON users;
    DROP TRIGGER policy_revision_keep ON organizations;
    DROP FUNCTION revision_bump();
    DROP FUNCTION policy_revision_keep();
    DROP FUNCTION users_policy_revision_bump();
    DROP FUNCTION policy_revision_bump();
    DROP FUNCTION policy_revision_raise(uuid[]);
"""


def revision_functions() -> RunSQL:
    """Make the trigger functions, once."""
    return RunSQL(sql=FUNCTIONS, reverse_sql=NO_FUNCTIONS)


def policy_counted(table: str, *, but: str = "") -> RunSQL:
    """Raise ``organizations.policy_revision`` with each row of ``table`` that changes in more than ``but``."""
    changed = (
        f"(to_jsonb(OLD) - '{but}') IS DISTINCT FROM (to_jsonb(NEW) - '{but}')" if but else "OLD IS DISTINCT FROM NEW"
    )
    return RunSQL(
        sql=f"""
            CREATE TRIGGER policy_revision_rows AFTER INSERT OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION policy_revision_bump();
            CREATE TRIGGER policy_revision_changes AFTER UPDATE ON {table}
                FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION policy_revision_bump();
        """,
        reverse_sql=f"""
            DROP TRIGGER policy_revision_changes ON {table};
            DROP TRIGGER policy_revision_rows ON {table};
        """,
    )


def revision_counted(table: str, name: str) -> RunSQL:
    """Raise the number ``name`` (see `accounts_app.models.Revision`) with each statement that changes ``table``."""
    return RunSQL(
        sql=f"""
            CREATE TRIGGER revision_{name} AFTER INSERT OR UPDATE OR DELETE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION revision_bump('{name}');
        """,
        reverse_sql=f"DROP TRIGGER revision_{name} ON {table};",
    )
