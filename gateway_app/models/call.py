from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel
from billing_app.contracts import TokenBuckets
from gateway_app.contracts import Ending


class CallStatus(models.TextChoices):
    """Dispatched: its hold is committed and a provider may be answering. Settled: ended, charged by the rule, final."""

    DISPATCHED = "dispatched", _("Dispatched")
    SETTLED = "settled", _("Settled")


class EndingChoices(models.TextChoices):
    """`Ending` with its words."""

    COMPLETED = Ending.COMPLETED.value, _("Completed")
    CLIENT_GONE = Ending.CLIENT_GONE.value, _("Caller left")
    UPSTREAM_CUT = Ending.UPSTREAM_CUT.value, _("Cut off by the provider")
    TIMEOUT = Ending.TIMEOUT.value, _("Timed out")
    NO_USAGE = Ending.NO_USAGE.value, _("Completed, usage not reported")
    ZERO_OUTPUT = Ending.ZERO_OUTPUT.value, _("No output")
    REFUSED = Ending.REFUSED.value, _("Refused")
    WORKER_KILLED = Ending.WORKER_KILLED.value, _("Worker killed")


class GatewayCall(TenantModel):
    """One model call: the operation that its attempts, its hold and its usage record belong to.

    Tenant row. ``lease_until`` and ``owner`` tell a call in progress from one whose process is gone.
    """

    operation_key = models.CharField(_("operation key"), max_length=200)
    # Set when a later call takes over the key of one that brought nothing to replay.
    superseded_at = models.DateTimeField(_("superseded at"), null=True, blank=True)
    model = models.CharField(_("model"), max_length=120)
    provider = models.CharField(_("provider"), max_length=60)
    purpose = models.CharField(_("purpose"), max_length=60, blank=True)
    task_id = models.UUIDField(_("task"), null=True, blank=True)
    run_id = models.UUIDField(_("run"), null=True, blank=True)
    step_key = models.CharField(_("step"), max_length=120, blank=True)
    prompt_version_id = models.UUIDField(_("prompt version"), null=True, blank=True)
    # What the key stands for: the same key with another request is a mistake of the caller.
    request_hash = models.CharField(max_length=64)
    max_tokens = models.PositiveIntegerField(_("most output asked for (tokens)"))
    status = models.CharField(_("status"), max_length=12, choices=CallStatus, default=CallStatus.DISPATCHED)
    ending = models.CharField(_("ending"), max_length=16, choices=EndingChoices, blank=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    # Null only inside the transaction that makes both.
    hold_id = models.UUIDField(_("hold"), null=True, blank=True)
    price_id = models.UUIDField(_("price"))
    input_tokens = models.PositiveIntegerField(_("input tokens"), default=0)
    cached_input_tokens = models.PositiveIntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.PositiveIntegerField(_("tokens written to the cache"), default=0)
    output_tokens = models.PositiveIntegerField(_("output tokens"), default=0)
    reasoning_tokens = models.PositiveIntegerField(_("reasoning tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    charged_usd = models.DecimalField(_("charged (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    # What the rule asked for and the wallet could not pay.
    shortfall_usd = models.DecimalField(_("not covered (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    first_token_ms = models.PositiveIntegerField(_("first token after (ms)"), null=True, blank=True)
    latency_ms = models.PositiveIntegerField(_("took (ms)"), null=True, blank=True)
    finish_reason = models.CharField(_("finish reason"), max_length=40, blank=True)
    # Kept so that the same operation is answered again without a second call.
    response_text = models.TextField(_("answer"), blank=True)
    tool_calls = models.JSONField(_("tool calls"), default=list, blank=True)
    owner = models.CharField(max_length=200)
    lease_until = models.DateTimeField()
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)

    class Meta:
        db_table = "gateway_calls"
        verbose_name = _("model call")
        verbose_name_plural = _("model calls")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "operation_key"],
                condition=Q(superseded_at__isnull=True),
                name="call_once_per_operation",
            ),
            models.CheckConstraint(
                condition=(Q(status="settled") & Q(ending__in=EndingChoices.values) & Q(settled_at__isnull=False))
                | (Q(status="dispatched") & Q(ending="") & Q(settled_at__isnull=True)),
                name="call_settled_has_ending",
            ),
            models.CheckConstraint(condition=Q(charged_usd__lte=models.F("cost_usd")), name="call_charge_within_cost"),
        ]
        indexes = [
            # the sweep for abandoned calls: WHERE status = 'dispatched' AND lease_until < now()
            models.Index(fields=["lease_until"], condition=Q(status="dispatched"), name="call_open_leases"),
            # a hold that expired finds its call
            models.Index(fields=["hold_id"], name="call_by_hold"),
            # the admin's list, and an organization's calls, newest first
            models.Index(fields=["organization", "-created_at"], name="call_by_organization"),
            models.Index(fields=["trace_id"], name="call_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.model} · {self.operation_key}"

    @property
    def tokens(self) -> TokenBuckets:
        """The call's tokens in disjoint buckets."""
        return TokenBuckets(
            input=self.input_tokens,
            cached_input=self.cached_input_tokens,
            cache_write=self.cache_write_tokens,
            output=self.output_tokens,
            reasoning=self.reasoning_tokens,
        )
