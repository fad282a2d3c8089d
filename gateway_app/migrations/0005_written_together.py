"""Calls that come together are written together: one statement a table, not one a row."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).resolve().parent
SQL = HERE.parent / "sql"
FILES = ("gateway_open", "gateway_settle", "gateway_during", "gateway_books")
NOW = (
    "books(jsonb)", "retry(uuid, jsonb)", "extend(jsonb)", "lease(jsonb)", "settle(uuid, jsonb)",
    "settle_one(uuid, jsonb)", "calls_end(uuid, jsonb)", "attempts_add(uuid, jsonb)", "open(uuid, jsonb, jsonb)",
    "open_one(uuid, jsonb)", "calls_add(uuid, jsonb)", "claim(uuid, jsonb)", "is_stale(uuid, jsonb)",
)  # fmt: skip
BEFORE = tuple(
    f"{name}(jsonb)"
    for name in ("books", "retry", "extend", "lease", "settle", "attempt_add", "open", "claim", "is_stale")
)


def _made(folder: Path) -> str:
    return "\n".join((folder / f"{name}.sql").read_text(encoding="utf-8") for name in FILES)


def _dropped(functions: tuple[str, ...]) -> str:
    return "".join(f"DROP FUNCTION gateway_{function};\n" for function in functions)


class Migration(migrations.Migration):
    dependencies = [("billing_app", "0009_many_at_once"), ("gateway_app", "0004_two_statements")]

    operations = [
        migrations.RunSQL(sql=_dropped(BEFORE) + _made(SQL), reverse_sql=_dropped(NOW) + _made(HERE / "sql_0004"))
    ]
