"""What is written of several calls at once is written by one statement a table."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


def function(name: str) -> migrations.RunSQL:
    """The function of one file."""
    return migrations.RunSQL(
        sql=(SQL / f"{name}.sql").read_text(encoding="utf-8"), reverse_sql=f"DROP FUNCTION {name}(uuid, jsonb);"
    )


class Migration(migrations.Migration):
    dependencies = [("billing_app", "0008_fewer_indexes")]

    operations = [function("ledger_hold_many"), function("ledger_settle_many"), function("usage_insert_many")]
