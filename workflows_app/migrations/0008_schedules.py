import uuid

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts_app.tenancy.rls import enable_rls


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0004_api_sessions"),
        ("workflows_app", "0007_logs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkflowSchedule",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                ("template", models.CharField(max_length=200, verbose_name="template")),
                ("input", models.JSONField(blank=True, default=dict, verbose_name="input")),
                ("cron", models.CharField(max_length=200, verbose_name="cron expression")),
                ("timezone", models.CharField(default="UTC", max_length=64, verbose_name="time zone")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "misfire",
                    models.CharField(
                        choices=[("once", "Start once, late"), ("skip", "Leave out")],
                        default="once",
                        max_length=10,
                        verbose_name="missed times",
                    ),
                ),
                (
                    "max_overlap",
                    models.PositiveSmallIntegerField(
                        default=1,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="runs at once",
                    ),
                ),
                ("next_run_at", models.DateTimeField(blank=True, null=True, verbose_name="next run")),
                ("last_run_at", models.DateTimeField(blank=True, null=True, verbose_name="last run")),
                ("last_run_id", models.UUIDField(blank=True, null=True, verbose_name="last run's id")),
                ("last_error", models.JSONField(blank=True, null=True, verbose_name="last error")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts_app.organization"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "workflow schedule",
                "verbose_name_plural": "workflow schedules",
                "db_table": "workflow_schedules",
                "ordering": ["-created_at", "-id"],
                "indexes": [
                    models.Index(condition=models.Q(("is_active", True)), fields=["next_run_at"], name="schedule_due"),
                    models.Index(fields=["organization", "-created_at", "-id"], name="schedule_by_age"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "name"), name="schedule_name_once"),
                    models.CheckConstraint(
                        condition=models.Q(("misfire__in", ["once", "skip"])), name="schedule_misfire_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("max_overlap__gte", 1), ("max_overlap__lte", 100)),
                        name="schedule_overlap_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("is_active", False), ("next_run_at__isnull", False), _connector="OR"),
                        name="schedule_active_is_due",
                    ),
                ],
            },
        ),
        enable_rls("workflow_schedules"),
    ]
