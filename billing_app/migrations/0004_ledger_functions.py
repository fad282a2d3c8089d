"""Money moves in the database: the ledger's functions, and each entry's hash over itself and the one before it."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


def functions(name: str, *drops: str) -> migrations.RunSQL:
    """Make the functions of one file; ``drops`` are their signatures, the last one first."""
    return migrations.RunSQL(
        sql=(SQL / f"{name}.sql").read_text(encoding="utf-8"),
        reverse_sql="".join(f"DROP FUNCTION {signature};" for signature in drops),
    )


# Entries written before get their hashes; the tables' owner alone can lift the trigger.
HASH_EXISTING = migrations.RunSQL(
    sql="""
        SELECT set_config('app.operator', 'migration', true);
        ALTER TABLE transactions DISABLE TRIGGER append_only;
        DO $$
        DECLARE
            entry transactions;
            wallet uuid;
            last text;
        BEGIN
            FOR entry IN SELECT * FROM transactions ORDER BY wallet_id, seq LOOP
                IF wallet IS DISTINCT FROM entry.wallet_id THEN
                    wallet := entry.wallet_id;
                    last := '';
                END IF;
                entry.prev_hash := last;
                last := ledger_hash(entry);
                UPDATE transactions SET prev_hash = entry.prev_hash, hash = last WHERE id = entry.id;
            END LOOP;
        END $$;
        ALTER TABLE transactions ENABLE TRIGGER append_only;
        UPDATE wallets w SET hash = t.hash FROM transactions t WHERE t.wallet_id = w.id AND t.seq = w.seq;
    """,
    reverse_sql=migrations.RunSQL.noop,
)


class Migration(migrations.Migration):
    dependencies = [("billing_app", "0003_gateway_books")]

    operations = [
        functions("ledger_hash", "ledger_hash(transactions)"),
        HASH_EXISTING,
        functions(
            "ledger_post",
            "ledger_refusal(uuid, text, jsonb)",
            "ledger_save(wallets)",
            "ledger_wallet_of(uuid, uuid)",
            "ledger_post(wallets, transactions)",
        ),
        functions(
            "ledger_budgets",
            "ledger_over_budget(uuid, text, numeric, numeric, text)",
            "ledger_windows_move(uuid[], numeric, numeric)",
            "ledger_windows(uuid, uuid, uuid, uuid)",
        ),
        *(
            functions(name, f"{name}(jsonb)")
            for name in (
                "ledger_hold",
                "ledger_extend",
                "ledger_capture",
                "ledger_release",
                "ledger_refund",
                "ledger_credit",
                "usage_insert",
            )
        ),
    ]
