from decimal import Decimal
from uuid import UUID, uuid4

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing_app.contracts import TokenBuckets, UsageEntry
from billing_app.models.price import Price

_INPUT = F("uncached_input_tokens") + F("cached_input_tokens") + F("cache_write_tokens")
_OUTPUT = F("visible_output_tokens") + F("reasoning_tokens")


class UsageRecord(models.Model):
    """One model call, whatever its ending: tokens in disjoint buckets, their price frozen, what was charged.

    Its id is the call's: so a call is recorded exactly once, also when two settle it at the same moment. Append-only
    like the ledger. ``input_tokens`` and ``output_tokens`` are the totals that the provider reports.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # No keys in the database: each would cost every call a look-up, and partitions could not be dropped lightly.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # These name rows of rooms above, and users that may leave: facts of the call, not foreign keys.
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    task_id = models.UUIDField(_("task"), null=True, blank=True)
    run_id = models.UUIDField(_("run"), null=True, blank=True)
    step_key = models.CharField(_("step"), max_length=120, blank=True)
    prompt_version_id = models.UUIDField(_("prompt version"), null=True, blank=True)
    project_id = models.UUIDField(_("project"), null=True, blank=True)
    api_key_id = models.UUIDField(_("API key"), null=True, blank=True)
    # Path below /v1 that was called, such as chat/completions; empty for our own steps.
    endpoint = models.CharField(_("endpoint"), max_length=60, blank=True, default="")
    provider = models.CharField(_("provider"), max_length=60)
    model = models.CharField(_("model"), max_length=120)
    ending = models.CharField(_("ending"), max_length=40)
    uncached_input_tokens = models.BigIntegerField(_("input tokens, not cached"), default=0)
    cached_input_tokens = models.BigIntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.BigIntegerField(_("tokens written to the cache"), default=0)
    visible_output_tokens = models.BigIntegerField(_("output tokens without reasoning"), default=0)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), default=0)
    input_tokens = models.GeneratedField(
        expression=_INPUT, output_field=models.BigIntegerField(_("input tokens")), db_persist=True
    )
    output_tokens = models.GeneratedField(
        expression=_OUTPUT, output_field=models.BigIntegerField(_("output tokens")), db_persist=True
    )
    # The version in force when the call began; a trigger keeps prices that have begun.
    price = models.ForeignKey(Price, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10)
    charged_usd = models.DecimalField(_("charged (USD)"), max_digits=20, decimal_places=10)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    meta = models.JSONField(_("details"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        db_table = "openai_usage"
        verbose_name = _("usage record")
        verbose_name_plural = _("usage records")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    uncached_input_tokens__gte=0, cached_input_tokens__gte=0, cache_write_tokens__gte=0,
                    visible_output_tokens__gte=0, reasoning_tokens__gte=0,
                ),
                name="usage_tokens_not_negative",
            ),
            models.CheckConstraint(condition=Q(cost_usd__gte=0, charged_usd__gte=0), name="usage_money_not_negative"),
        ]  # fmt: skip
        indexes = [
            # the usage list, newest first, in keyset pages
            models.Index(fields=["organization", "-created_at", "-id"], name="usage_by_organization"),
            # the same for one model
            models.Index(fields=["organization", "model", "-created_at", "-id"], name="usage_by_model"),
            # the calls of one task
            models.Index(
                fields=["organization", "task_id"], condition=Q(task_id__isnull=False), name="usage_of_a_task"
            ),
            models.Index(fields=["trace_id"], name="usage_by_trace"),
            # the reconciliation of one day, over all organizations
            BrinIndex(fields=["created_at"], name="usage_by_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.cost_usd.normalize():f} USD"

    @property
    def call_id(self) -> UUID:
        """The call that this is the record of."""
        return self.id

    @property
    def tokens(self) -> TokenBuckets:
        """The buckets of this call."""
        return TokenBuckets(
            input=self.uncached_input_tokens,
            cached_input=self.cached_input_tokens,
            cache_write=self.cache_write_tokens,
            output=self.visible_output_tokens,
            reasoning=self.reasoning_tokens,
        )

    def entry(self) -> UsageEntry:
        """Return this record as other rooms see it."""
        return UsageEntry(
            id=self.id,
            organization_id=self.organization_id,
            call_id=self.id,
            model=self.model,
            provider=self.provider,
            tokens=self.tokens,
            cost_usd=self.cost_usd,
            charged_usd=self.charged_usd,
            ending=self.ending,
            price_id=self.price_id,
            created_at=self.created_at,
            user_id=self.user_id,
            task_id=self.task_id,
            run_id=self.run_id,
            step_key=self.step_key,
            prompt_version_id=self.prompt_version_id,
            trace_id=self.trace_id,
            meta=self.meta,
            project_id=self.project_id,
            api_key_id=self.api_key_id,
            endpoint=self.endpoint,
        )


class UsageDaily(models.Model):
    """The roll-up that pages read: calls of one model on one day (UTC) by one project, key and person.

    Kept with each record. Null is what belongs to no project, was made without a key, or by nobody in particular.
    """

    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    day = models.DateField(_("day"))
    model = models.CharField(_("model"), max_length=120)
    project_id = models.UUIDField(_("project"), null=True, blank=True)
    api_key_id = models.UUIDField(_("API key"), null=True, blank=True)
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    calls = models.BigIntegerField(_("calls"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    charged_usd = models.DecimalField(_("charged (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))

    class Meta:
        db_table = "usage_daily"
        verbose_name = _("daily usage")
        verbose_name_plural = _("daily usage")
        ordering = ["-day", "model"]
        constraints = [
            # The upsert's target, and the index of every sum on the request path.
            models.UniqueConstraint(
                fields=["organization", "day", "model", "project_id", "api_key_id", "user_id"],
                name="usage_daily_once",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class TaskUsage(models.Model):
    """The roll-up of one task: what all of its model calls have used so far."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    task_id = models.UUIDField(_("task"))
    calls = models.BigIntegerField(_("calls"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    charged_usd = models.DecimalField(_("charged (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))

    class Meta:
        db_table = "usage_by_task"
        verbose_name = _("usage by task")
        verbose_name_plural = _("usage by task")
        constraints = [
            models.UniqueConstraint(fields=["organization", "task_id"], name="usage_by_task_once"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.charged_usd.normalize():f} USD"
