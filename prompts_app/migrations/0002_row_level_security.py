"""Who sees which row, and what never changes.

Foreign keys are checked without regard to policies: a row that names another tenant's prompt would be refused or not
depending on whether that prompt exists. So each insert's own policy asks that what it refers to is visible to the
writer, which answers the same for "not yours" and "not there".
"""

from django.db import migrations

from accounts_app.tenancy.rls import OWN_ROWS, enable_rls

OWN_OR_SHARED = f"organization_id IS NULL OR {OWN_ROWS}"


def visible(column: str, table: str) -> str:
    """Whether ``column`` is empty or names a row that the writer sees."""
    return f"({column} IS NULL OR EXISTS (SELECT 1 FROM {table} seen WHERE seen.id = {column}))"


def same_owner(row: str, column: str, table: str) -> str:
    """Whether ``column`` of table ``row`` names a row of ``table`` that belongs to the same organization."""
    return (
        f"EXISTS (SELECT 1 FROM {table} seen WHERE seen.id = {column} AND seen.organization_id = {row}.organization_id)"
    )


def own(*conditions: str) -> str:
    """All ``conditions``, on rows of the bound organization."""
    return "(" + " AND ".join((f"({OWN_ROWS})", *conditions)) + ")"


IMMUTABLE_VERSIONS = """
CREATE FUNCTION prompt_versions_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status = 'published' THEN
            RAISE EXCEPTION 'a published prompt version stays' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (NEW.id, NEW.organization_id, NEW.prompt_id, NEW.number, NEW.language, NEW.messages, NEW.variables, NEW.model,
        NEW.parameters, NEW.notes, NEW.content_hash, NEW.provenance, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.organization_id, OLD.prompt_id, OLD.number, OLD.language, OLD.messages, OLD.variables, OLD.model,
        OLD.parameters, OLD.notes, OLD.content_hash, OLD.provenance, OLD.created_at)
       OR (OLD.status = 'published'
           AND (NEW.status, NEW.published_at) IS DISTINCT FROM (OLD.status, OLD.published_at))
       OR (NEW.parent_id IS NOT NULL AND NEW.parent_id IS DISTINCT FROM OLD.parent_id)
       OR (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id)
    THEN
        RAISE EXCEPTION 'a prompt version never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON prompt_versions
    FOR EACH ROW EXECUTE FUNCTION prompt_versions_refuse_change();
"""
MUTABLE_VERSIONS = """
DROP TRIGGER immutable ON prompt_versions;
DROP FUNCTION prompt_versions_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("prompts_app", "0001_initial")]

    operations = [
        enable_rls("prompts", using=OWN_OR_SHARED),
        enable_rls(
            "prompt_versions",
            using=OWN_OR_SHARED,
            check=own(same_owner("prompt_versions", "prompt_id", "prompts")),
        ),
        enable_rls(
            "prompt_runs",
            check=own(visible("prompt_id", "prompts"), visible("version_id", "prompt_versions")),
        ),
        enable_rls(
            "prompt_bootstrap_runs",
            check=own(
                visible("prompt_id", "prompts"),
                visible("source_version_id", "prompt_versions"),
                visible("rewriter_id", "prompt_versions"),
                visible("result_version_id", "prompt_versions"),
            ),
        ),
        enable_rls("eval_suites", using=OWN_OR_SHARED),
        enable_rls("eval_cases", using=OWN_OR_SHARED, check=own(same_owner("eval_cases", "suite_id", "eval_suites"))),
        enable_rls(
            "eval_runs",
            check=own(visible("suite_id", "eval_suites"), visible("version_id", "prompt_versions")),
        ),
        enable_rls(
            "eval_case_results",
            check=own(same_owner("eval_case_results", "eval_run_id", "eval_runs"), visible("case_id", "eval_cases")),
        ),
        migrations.RunSQL(sql=IMMUTABLE_VERSIONS, reverse_sql=MUTABLE_VERSIONS),
    ]
