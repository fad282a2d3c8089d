"""What was answered to POSTs with an Idempotency-Key, each organization's for itself."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

from accounts_app.tenancy.rls import enable_rls


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0003_projects_and_policy"),
        ("billing_app", "0004_ledger_functions"),
    ]

    operations = [
        migrations.CreateModel(
            name="StoredAnswer",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("user_id", models.UUIDField(blank=True, null=True, verbose_name="user")),
                ("key", models.CharField(max_length=120, verbose_name="idempotency key")),
                ("request_hash", models.CharField(max_length=64, verbose_name="hash of the request")),
                ("status", models.PositiveSmallIntegerField(verbose_name="status")),
                ("content_type", models.CharField(max_length=100, verbose_name="content type")),
                ("body", models.BinaryField(verbose_name="body")),
                ("trace_id", models.CharField(blank=True, max_length=32, verbose_name="trace id")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts_app.organization"
                    ),
                ),
            ],
            options={
                "verbose_name": "stored answer",
                "verbose_name_plural": "stored answers",
                "db_table": "stored_answers",
                "ordering": ["-created_at"],
                "indexes": [models.Index(fields=["expires_at"], name="stored_answer_by_expiry")],
                "constraints": [models.UniqueConstraint(fields=("organization", "key"), name="stored_answer_once")],
            },
        ),
        enable_rls("stored_answers"),
    ]
