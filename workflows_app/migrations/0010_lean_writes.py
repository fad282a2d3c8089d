"""What is written at each step gets fewer keys, indexes and index entries.

An event, an attempt and a log line named their organization and their run by a key each, and a trigger saw to it that
both are of one organization. One key over both says the same: the run is there, and it is that organization's.
"""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"
TABLES = {"runevent": "run_events", "steprun": "step_runs", "runlog": "run_logs"}
RELATED = {"runevent": "events", "steprun": "step_runs", "runlog": "log_lines"}


def _unchecked(name: str) -> list[migrations.AlterField]:
    named = {"verbose_name": "run"} if name == "runlog" else {}
    plain = {"db_constraint": False, "db_index": False, "on_delete": django.db.models.deletion.PROTECT}
    fields = {
        "organization": models.ForeignKey(related_name="+", to="accounts_app.organization", **plain),
        "run": models.ForeignKey(related_name=RELATED[name], to="workflows_app.workflowrun", **plain, **named),
    }
    return [migrations.AlterField(model_name=name, name=field, field=what) for field, what in fields.items()]


def _together(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        sql=f"""
            DROP TRIGGER IF EXISTS same_organization_run_id ON {table};
            DROP FUNCTION IF EXISTS {table}_run_id_same_organization();
            ALTER TABLE {table} ADD CONSTRAINT {table}_of_run
                FOREIGN KEY (run_id, organization_id) REFERENCES workflow_runs (id, organization_id);
        """,
        reverse_sql=f"ALTER TABLE {table} DROP CONSTRAINT {table}_of_run;",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0004_api_sessions"),
        ("workflows_app", "0009_statistics"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="workflowrun",
            constraint=models.UniqueConstraint(fields=("id", "organization"), name="run_of_organization"),
        ),
        *(operation for name in TABLES for operation in _unchecked(name)),
        *map(_together, TABLES.values()),
        # A row that is written at each step finds room beside itself, so that its indexes need no new entry.
        migrations.RunSQL(
            sql="ALTER TABLE workflow_runs SET (fillfactor = 75)",
            reverse_sql="ALTER TABLE workflow_runs RESET (fillfactor)",
        ),
        migrations.RunSQL(
            sql=(SQL / "workflow_write.sql").read_text(encoding="utf-8"), reverse_sql=migrations.RunSQL.noop
        ),
    ]
