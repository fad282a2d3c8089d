"""A run that begins with steps which are written together begins with them."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0011_steps_in_a_row")]

    operations = [
        migrations.RunSQL(
            sql=(SQL / "workflow_write.sql").read_text(encoding="utf-8"), reverse_sql=migrations.RunSQL.noop
        ),
    ]
