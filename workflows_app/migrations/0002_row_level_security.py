from django.db import migrations

from accounts_app.tenancy.rls import OWN_ROWS, append_only, enable_rls

# A published version never changes again, apart from being the default or not, and from its author leaving.
IMMUTABLE = migrations.RunSQL(
    sql="""
        CREATE FUNCTION workflow_configs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR (to_jsonb(OLD) - 'is_default' - 'created_by_id')
                IS DISTINCT FROM (to_jsonb(NEW) - 'is_default' - 'created_by_id') THEN
                RAISE EXCEPTION 'a published workflow version is immutable' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER published_is_immutable BEFORE UPDATE OR DELETE ON workflow_configs
            FOR EACH ROW WHEN (OLD.status = 'published') EXECUTE FUNCTION workflow_configs_refuse_change();
    """,
    reverse_sql="""
        DROP TRIGGER published_is_immutable ON workflow_configs;
        DROP FUNCTION workflow_configs_refuse_change();
    """,
)


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0001_initial")]

    operations = [
        # Shared initial data has no organization: all read it, operators write it.
        enable_rls("workflow_configs", using=f"organization_id IS NULL OR {OWN_ROWS}", check=OWN_ROWS),
        IMMUTABLE,
        enable_rls("workflow_runs"),
        enable_rls("step_runs"),
        enable_rls("run_events"),
        append_only("run_events"),
    ]
