import django.db.models.deletion
from django.db import migrations, models

import accounts_app.ids
from accounts_app.tenancy.partitions import partition_monthly
from accounts_app.tenancy.rls import append_only, enable_rls


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0004_api_sessions"),
        ("workflows_app", "0006_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="RunLog",
            fields=[
                (
                    "id",
                    models.UUIDField(default=accounts_app.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("seq", models.PositiveIntegerField(verbose_name="number")),
                ("path", models.CharField(max_length=120, verbose_name="path")),
                ("step_key", models.CharField(max_length=60, verbose_name="step")),
                ("attempt", models.PositiveSmallIntegerField(verbose_name="attempt")),
                (
                    "level",
                    models.CharField(
                        choices=[
                            ("debug", "Debug"),
                            ("info", "Info"),
                            ("warning", "Warning"),
                            ("error", "Error"),
                            ("critical", "Critical"),
                        ],
                        max_length=8,
                        verbose_name="level",
                    ),
                ),
                ("logger", models.CharField(max_length=120, verbose_name="logger")),
                ("message", models.TextField(verbose_name="message")),
                ("data", models.JSONField(blank=True, default=dict, verbose_name="data")),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts_app.organization"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="log_lines",
                        to="workflows_app.workflowrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "log line of a run",
                "verbose_name_plural": "log lines of runs",
                "db_table": "run_logs",
                "ordering": ["run", "seq"],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "seq"), name="run_log_seq_once"),
                    models.CheckConstraint(
                        condition=models.Q(("level__in", ["debug", "info", "warning", "error", "critical"])),
                        name="run_log_level_known",
                    ),
                ],
            },
        ),
        enable_rls("run_logs"),
        append_only("run_logs"),
        partition_monthly("run_logs", key="run_id"),
    ]
