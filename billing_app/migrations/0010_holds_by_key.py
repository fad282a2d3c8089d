"""Holds are looked up by their keys, whatever the planner believes of a table without statistics."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing_app", "0009_many_at_once")]

    operations = [
        migrations.RunSQL(
            sql=(SQL / "ledger_settle_many.sql").read_text(encoding="utf-8"), reverse_sql=migrations.RunSQL.noop
        ),
    ]
