import django.db.models.deletion
from django.db import migrations, models

import accounts_app.ids
from accounts_app.tenancy.partitions import partition_monthly
from accounts_app.tenancy.rls import enable_rls


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0004_api_sessions"),
        ("workflows_app", "0005_templates"),
    ]

    operations = [
        migrations.AlterField(
            model_name="runevent",
            name="run",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="events",
                to="workflows_app.workflowrun",
            ),
        ),
        # All events of a run lie in the month of its id, so that the keys of its chain hold within one partition.
        partition_monthly("run_events", key="run_id"),
        migrations.CreateModel(
            name="RunArchive",
            fields=[
                (
                    "id",
                    models.UUIDField(default=accounts_app.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("month", models.DateField(verbose_name="month")),
                ("first_run_id", models.UUIDField(verbose_name="first run")),
                ("last_run_id", models.UUIDField(verbose_name="last run")),
                ("storage_key", models.CharField(max_length=300, verbose_name="storage key")),
                ("runs", models.PositiveIntegerField(verbose_name="runs")),
                ("events", models.PositiveIntegerField(verbose_name="events")),
                ("size", models.PositiveIntegerField(verbose_name="size (bytes)")),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts_app.organization"
                    ),
                ),
            ],
            options={
                "verbose_name": "archived history",
                "verbose_name_plural": "archived histories",
                "db_table": "run_archives",
                "ordering": ["-month", "organization", "first_run_id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "month", "first_run_id"), name="archive_range_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("first_run_id__lte", models.F("last_run_id"))),
                        name="archive_range_ordered",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("events__gte", models.F("runs")), ("runs__gte", 1)),
                        name="archive_not_empty",
                    ),
                    models.CheckConstraint(condition=models.Q(("month__day", 1)), name="archive_month_begins"),
                ],
            },
        ),
        # Tenants read what they have; only the archive job, an operator, says what is there.
        enable_rls("run_archives", check="false"),
    ]
