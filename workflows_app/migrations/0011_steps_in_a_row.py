"""What is written together happened at moments of its own: events and attempts say how long ago."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0010_lean_writes")]

    operations = [
        migrations.RunSQL(
            sql=(SQL / "workflow_write.sql").read_text(encoding="utf-8"), reverse_sql=migrations.RunSQL.noop
        ),
    ]
