"""Who sees which rows, what nobody may change, and keys that keep a row within its own organization."""

from django.db import migrations

from accounts_app.tenancy.rls import append_only, enable_rls

TENANT_TABLES = ("wallets", "holds", "transactions", "openai_usage", "usage_daily")


def same_organization(table: str, column: str, target: str) -> migrations.RunSQL:
    """Refuse a reference to another organization's row, which a plain foreign key would let through."""
    return migrations.RunSQL(
        sql=f"""
            ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_same_organization
            FOREIGN KEY (organization_id, {column}) REFERENCES {target} (organization_id, id)
            DEFERRABLE INITIALLY DEFERRED;
        """,
        reverse_sql=f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_same_organization;",
    )


# A price that has begun is history: usage points at it. One that lies in the future may still be withdrawn.
PRICES_ARE_HISTORY = migrations.RunSQL(
    sql="""
        CREATE FUNCTION prices_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND OLD.effective_from > now() THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'a price is never changed: add a new one' USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER history BEFORE UPDATE OR DELETE ON prices
            FOR EACH ROW EXECUTE FUNCTION prices_refuse_change();
    """,
    reverse_sql="""
        DROP TRIGGER history ON prices;
        DROP FUNCTION prices_refuse_change();
    """,
)


class Migration(migrations.Migration):
    dependencies = [("billing_app", "0001_initial")]

    operations = [
        *(enable_rls(table) for table in TENANT_TABLES),
        append_only("transactions"),
        append_only("openai_usage"),
        PRICES_ARE_HISTORY,
        same_organization("holds", "wallet_id", "wallets"),
        same_organization("transactions", "wallet_id", "wallets"),
        same_organization("transactions", "hold_id", "holds"),
    ]
