import uuid

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts_app.tenancy.revisions import policy_counted, revision_counted
from accounts_app.tenancy.rls import enable_rls


def routes_from_models(apps, schema_editor):
    """Each model's one provider becomes its first route."""
    entry_model, route_model = apps.get_model("gateway_app", "ModelEntry"), apps.get_model("gateway_app", "ModelRoute")
    route_model.objects.bulk_create(
        route_model(
            entry=entry,
            provider_id=entry.provider_id,
            upstream_name=entry.upstream_name,
            listed_at=entry.listed_at,
            created_at=entry.created_at,
        )
        for entry in entry_model.objects.all()
    )
    # Foreign keys are checked at the end otherwise, and a table with checks to come cannot be altered.
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def models_from_routes(apps, schema_editor):
    """A model goes back to the provider of its first route; one that has none cannot be kept."""
    entry_model = apps.get_model("gateway_app", "ModelEntry")
    for entry in entry_model.objects.prefetch_related("routes__provider"):
        ways = entry.routes.all()
        routes = sorted(ways, key=lambda way: way.provider.priority if way.priority is None else way.priority)
        if not routes:
            entry.delete()
            continue
        entry.provider_id = routes[0].provider_id
        entry.upstream_name, entry.listed_at = routes[0].upstream_name, routes[0].listed_at
        entry.save(update_fields=["provider", "upstream_name", "listed_at"])
    entry_model.objects.filter(kind="other").delete()
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0003_projects_and_policy"),
        ("gateway_app", "0002_live_streams"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Without these, a way back could not add the two columns to a table with rows.
        migrations.AlterField(
            model_name="modelentry",
            name="provider",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="models",
                to="gateway_app.provider",
                verbose_name="provider",
            ),
        ),
        migrations.AlterField(
            model_name="modelentry",
            name="upstream_name",
            field=models.CharField(default="", max_length=120, verbose_name="name at the provider"),
        ),
        migrations.AddField(
            model_name="provider",
            name="credential",
            field=models.TextField(blank=True, default="", editable=False, verbose_name="stored API key, encrypted"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="provider",
            name="credential_hint",
            field=models.CharField(blank=True, default="", editable=False, max_length=8, verbose_name="stored API key"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="provider",
            name="max_concurrency",
            field=models.PositiveIntegerField(
                default=0,
                help_text="How many calls each web process sends to it at the same time; 0: as many as there are.",
                verbose_name="calls at once",
            ),
        ),
        migrations.AlterField(
            model_name="provider",
            name="api_key_setting",
            field=models.CharField(
                blank=True,
                help_text="When the setting of this name has a value, it takes the place of the stored key.",
                max_length=60,
                verbose_name="setting with the API key",
            ),
        ),
        migrations.AlterField(
            model_name="provider",
            name="base_url_setting",
            field=models.CharField(
                blank=True,
                help_text="When the setting of this name has a value, it takes the place of the base URL.",
                max_length=60,
                verbose_name="setting with the base URL",
            ),
        ),
        migrations.AddConstraint(
            model_name="provider",
            constraint=models.CheckConstraint(
                condition=models.Q(("credential", ""), ("credential__startswith", "gAAAA"), _connector="OR"),
                name="provider_credential_encrypted",
            ),
        ),
        migrations.AddField(
            model_name="modelentry",
            name="fallback",
            field=models.ForeignKey(
                blank=True,
                help_text="Takes the call in its place when a budget or the wallet has too little left for this model.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="gateway_app.modelentry",
                verbose_name="cheaper model",
            ),
        ),
        migrations.AddField(
            model_name="modelentry",
            name="paths",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    max_length=120,
                    validators=[
                        django.core.validators.RegexValidator(
                            "^[a-z0-9_-]+(/[a-z0-9_-]+)*\\Z", "A path below /v1, such as audio/speech."
                        )
                    ],
                ),
                blank=True,
                default=list,
                help_text="Paths below /v1 that reach this model beside those of its kind, separated by commas, such as audio/speech. Each call costs the model's price per request.",
                size=None,
                verbose_name="further paths",
            ),
        ),
        migrations.RemoveConstraint(model_name="modelentry", name="model_kind_known"),
        migrations.AlterField(
            model_name="modelentry",
            name="kind",
            field=models.CharField(
                choices=[("chat", "Chat"), ("embedding", "Embedding"), ("image", "Image"), ("other", "Other")],
                default="chat",
                max_length=10,
                verbose_name="kind",
            ),
        ),
        migrations.CreateModel(
            name="ModelRoute",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("upstream_name", models.CharField(max_length=120, verbose_name="name at the provider")),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="The lowest is asked first; empty: the provider's own.",
                        null=True,
                        verbose_name="priority",
                    ),
                ),
                (
                    "weight",
                    models.PositiveIntegerField(
                        default=1,
                        help_text="The share of calls among routes of the same priority.",
                        verbose_name="weight",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("listed_at", models.DateTimeField(blank=True, null=True, verbose_name="seen at the provider")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="routes",
                        to="gateway_app.modelentry",
                        verbose_name="model",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="routes",
                        to="gateway_app.provider",
                        verbose_name="provider",
                    ),
                ),
            ],
            options={
                "verbose_name": "route",
                "verbose_name_plural": "routes",
                "db_table": "gateway_routes",
                "ordering": ["created_at"],
                "constraints": [
                    models.UniqueConstraint(fields=("entry", "provider", "upstream_name"), name="route_once"),
                    models.CheckConstraint(condition=models.Q(("weight__gt", 0)), name="route_weight_positive"),
                ],
            },
        ),
        migrations.RunPython(routes_from_models, models_from_routes),
        migrations.RemoveField(model_name="modelentry", name="listed_at"),
        migrations.RemoveField(model_name="modelentry", name="provider"),
        migrations.RemoveField(model_name="modelentry", name="upstream_name"),
        migrations.AddConstraint(
            model_name="modelentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["chat", "embedding", "image", "other"])), name="model_kind_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="modelentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("fallback__isnull", True), models.Q(("fallback", models.F("id")), _negated=True), _connector="OR"
                ),
                name="model_fallback_is_another",
            ),
        ),
        migrations.CreateModel(
            name="RateLimit",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("organization", "Organization"),
                            ("project", "Project"),
                            ("member", "Member"),
                            ("key", "API key"),
                        ],
                        max_length=12,
                        verbose_name="scope",
                    ),
                ),
                ("subject_id", models.UUIDField(verbose_name="whose")),
                (
                    "requests_per_minute",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="requests per minute",
                    ),
                ),
                (
                    "tokens_per_minute",
                    models.PositiveBigIntegerField(
                        blank=True,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="tokens per minute",
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="changed at")),
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
                "verbose_name": "rate limit",
                "verbose_name_plural": "rate limits",
                "db_table": "rate_limits",
                "ordering": ["scope", "-created_at"],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "scope", "subject_id"), name="rate_limit_once"),
                    models.CheckConstraint(
                        condition=models.Q(("scope__in", ["organization", "project", "member", "key"])),
                        name="rate_limit_scope_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("requests_per_minute__isnull", False),
                            ("tokens_per_minute__isnull", False),
                            _connector="OR",
                        ),
                        name="rate_limit_limits_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("requests_per_minute__isnull", True), ("requests_per_minute__gt", 0), _connector="OR"
                            ),
                            models.Q(
                                ("tokens_per_minute__isnull", True), ("tokens_per_minute__gt", 0), _connector="OR"
                            ),
                        ),
                        name="rate_limit_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("scope", "organization"), _negated=True),
                            ("subject_id", models.F("organization_id")),
                            _connector="OR",
                        ),
                        name="rate_limit_organization_is_own",
                    ),
                ],
            },
        ),
        enable_rls("rate_limits"),
        policy_counted("rate_limits"),
        revision_counted("gateway_providers", "catalogue"),
        revision_counted("gateway_models", "catalogue"),
        revision_counted("gateway_routes", "catalogue"),
    ]
