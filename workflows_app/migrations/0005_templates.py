from django.db import migrations, models

# One name may stand for workflows of several workspaces until now; then all but the first get theirs in brackets.
NAMES = migrations.RunSQL(
    sql="""
        SELECT set_config('app.operator', 'migration', true);
        ALTER TABLE workflow_configs DISABLE TRIGGER published_is_immutable;
        UPDATE workflow_configs AS later SET name = left(later.name, 96) || ' (' || later.workspace_key || ')'
        WHERE EXISTS (
            SELECT FROM workflow_configs AS first
            WHERE first.organization_id IS NOT DISTINCT FROM later.organization_id
                AND first.name = later.name AND first.version = later.version
                AND (first.created_at, first.id) < (later.created_at, later.id)
        );
        ALTER TABLE workflow_configs ENABLE TRIGGER published_is_immutable;
        SELECT set_config('app.operator', '', true);
    """,
    reverse_sql=migrations.RunSQL.noop,
)

# A published version never changes, apart from its use: started or not any more, the default or not; and its author
# may leave. Only what is not started any more can be removed, and only if no run refers to it.
IMMUTABLE = migrations.RunSQL(
    sql="""
        CREATE OR REPLACE FUNCTION workflow_configs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            free CONSTANT text[] := ARRAY['is_default', 'created_by_id', 'status', 'updated_at'];
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF OLD.status = 'inactive' THEN
                    RETURN OLD;
                END IF;
            ELSIF NEW.status <> 'draft' AND (to_jsonb(OLD) - free) IS NOT DISTINCT FROM (to_jsonb(NEW) - free) THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'a published workflow version is immutable' USING ERRCODE = 'restrict_violation';
        END $$;
        DROP TRIGGER published_is_immutable ON workflow_configs;
        CREATE TRIGGER published_is_immutable BEFORE UPDATE OR DELETE ON workflow_configs
            FOR EACH ROW WHEN (OLD.status <> 'draft') EXECUTE FUNCTION workflow_configs_refuse_change();
    """,
    reverse_sql="""
        CREATE OR REPLACE FUNCTION workflow_configs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR (to_jsonb(OLD) - 'is_default' - 'created_by_id')
                IS DISTINCT FROM (to_jsonb(NEW) - 'is_default' - 'created_by_id') THEN
                RAISE EXCEPTION 'a published workflow version is immutable' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        DROP TRIGGER published_is_immutable ON workflow_configs;
        CREATE TRIGGER published_is_immutable BEFORE UPDATE OR DELETE ON workflow_configs
            FOR EACH ROW WHEN (OLD.status = 'published') EXECUTE FUNCTION workflow_configs_refuse_change();
    """,
)


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0004_engine")]

    operations = [
        migrations.RemoveConstraint(model_name="workflowconfig", name="config_version_once"),
        migrations.RemoveConstraint(model_name="workflowconfig", name="config_default_is_published"),
        migrations.RemoveConstraint(model_name="workflowconfig", name="config_published_at_paired"),
        NAMES,
        migrations.AddField(
            model_name="workflowconfig",
            name="description",
            field=models.CharField(blank=True, max_length=1000, verbose_name="description"),
        ),
        migrations.AddField(
            model_name="workflowconfig",
            name="updated_at",
            field=models.DateTimeField(auto_now=True, verbose_name="updated at"),
        ),
        migrations.AddConstraint(
            model_name="workflowconfig",
            constraint=models.UniqueConstraint(
                fields=("organization", "name", "version"), name="config_name_version_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="workflowconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_default", False), ("status__in", ("published", "active")), _connector="OR"),
                name="config_default_is_published",
            ),
        ),
        migrations.AddConstraint(
            model_name="workflowconfig",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("published_at__isnull", True), ("status", "draft")),
                    models.Q(("published_at__isnull", False), ("status__in", ("published", "active", "inactive"))),
                    _connector="OR",
                ),
                name="config_published_at_paired",
            ),
        ),
        IMMUTABLE,
    ]
