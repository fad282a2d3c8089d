from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7
from billing_app.contracts import TokenBuckets
from gateway_app.contracts import Ending

_COUNTS = (
    "max_tokens", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "images", "first_token_ms", "latency_ms",
)  # fmt: skip


class CallStatus(models.TextChoices):
    """Dispatched: its hold is committed and a provider may be answering. Settled: ended, charged by the rule, final.

    Unknown: the process died in between. What the provider did is not known, so the money stays held until its report
    says, or until the time for that is over.
    """

    DISPATCHED = "dispatched", _("Dispatched")
    UNKNOWN = "unknown", _("Unknown")
    SETTLED = "settled", _("Settled")


class EndingChoices(models.TextChoices):
    """`Ending` with its words."""

    COMPLETED = Ending.COMPLETED.value, _("Completed")
    CLIENT_GONE = Ending.CLIENT_GONE.value, _("Caller left")
    UPSTREAM_CUT = Ending.UPSTREAM_CUT.value, _("Cut off by the provider")
    TIMEOUT = Ending.TIMEOUT.value, _("Timed out")
    NO_FUNDS = Ending.NO_FUNDS.value, _("Cut off: no money left")
    NO_USAGE = Ending.NO_USAGE.value, _("Completed, usage not reported")
    ZERO_OUTPUT = Ending.ZERO_OUTPUT.value, _("No output")
    REFUSED = Ending.REFUSED.value, _("Refused")
    WORKER_KILLED = Ending.WORKER_KILLED.value, _("Worker killed")


class GatewayCall(models.Model):
    """One model call: the operation that its attempts, its hold and its usage record belong to. The request log.

    A tenant's row, partitioned by month through its time-ordered id; no foreign keys, so that a month can be dropped.
    Written by `gateway_books` (gateway_app/sql). ``lease_until`` and ``owner`` tell a call in progress from one whose
    process is gone.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Written twice on the hot path: no index that no query asks for, and one check in place of one for each count.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    user = models.ForeignKey(
        "accounts_app.User", on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    endpoint = models.CharField(_("endpoint"), max_length=60, default="chat/completions")
    # Empty for calls that are never answered from what is stored.
    operation_key = models.CharField(_("operation key"), max_length=320, blank=True)
    model = models.CharField(_("model"), max_length=120)
    # What was asked for, where a budget made it another one.
    asked_model = models.CharField(_("model asked for"), max_length=120, blank=True)
    provider = models.CharField(_("provider"), max_length=60)
    purpose = models.CharField(_("purpose"), max_length=60, blank=True)
    api_key_id = models.UUIDField(_("API key"), null=True, blank=True)
    project_id = models.UUIDField(_("project"), null=True, blank=True)
    task_id = models.UUIDField(_("task"), null=True, blank=True)
    run_id = models.UUIDField(_("run"), null=True, blank=True)
    step_key = models.CharField(_("step"), max_length=120, blank=True)
    prompt_version_id = models.UUIDField(_("prompt version"), null=True, blank=True)
    client_address = models.GenericIPAddressField(_("client's address"), null=True, blank=True)
    is_stream = models.BooleanField(_("streamed"), default=False)
    # The most output that was held for.
    max_tokens = models.IntegerField(_("most output asked for (tokens)"), default=0)
    status = models.CharField(_("status"), max_length=12, choices=CallStatus, default=CallStatus.DISPATCHED)
    ending = models.CharField(_("ending"), max_length=16, choices=EndingChoices, blank=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    hold_id = models.UUIDField(_("hold"), null=True, blank=True)
    price_id = models.UUIDField(_("price"))
    input_tokens = models.IntegerField(_("input tokens"), default=0)
    cached_input_tokens = models.IntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.IntegerField(_("tokens written to the cache"), default=0)
    output_tokens = models.IntegerField(_("output tokens"), default=0)
    reasoning_tokens = models.IntegerField(_("reasoning tokens"), default=0)
    images = models.SmallIntegerField(_("images"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    charged_usd = models.DecimalField(_("charged (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    # What the rule asked for and the wallet could not pay.
    shortfall_usd = models.DecimalField(_("not covered (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    first_token_ms = models.IntegerField(_("first token after (ms)"), null=True, blank=True)
    latency_ms = models.IntegerField(_("took (ms)"), null=True, blank=True)
    finish_reason = models.CharField(_("finish reason"), max_length=40, blank=True)
    owner = models.CharField(max_length=200)
    lease_until = models.DateTimeField()
    # When its process was found dead; the clock of its resolution.
    unknown_at = models.DateTimeField(_("unknown since"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)

    class Meta:
        db_table = "gateway_calls"
        verbose_name = _("model call")
        verbose_name_plural = _("model calls")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=(Q(status="settled") & Q(ending__in=EndingChoices.values) & Q(settled_at__isnull=False))
                | (Q(status="dispatched") & Q(ending="") & Q(settled_at__isnull=True) & Q(unknown_at__isnull=True))
                | (Q(status="unknown") & Q(ending="") & Q(settled_at__isnull=True) & Q(unknown_at__isnull=False)),
                name="call_settled_has_ending",
            ),
            models.CheckConstraint(condition=Q(charged_usd__lte=models.F("cost_usd")), name="call_charge_within_cost"),
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Least(*_COUNTS, output_field=models.IntegerField()), 0),
                name="call_counts_not_negative",
            ),
        ]
        indexes = [
            # the sweep for abandoned calls: WHERE status = 'dispatched' AND lease_until < now()
            models.Index(fields=["lease_until"], condition=Q(status="dispatched"), name="call_open_leases"),
            # the resolver: WHERE status = 'unknown' ORDER BY unknown_at
            models.Index(fields=["unknown_at"], condition=Q(status="unknown"), name="call_unknown"),
            # the admin's list, and an organization's calls, newest first
            models.Index(fields=["organization", "-created_at"], name="call_by_organization"),
            models.Index(fields=["trace_id"], name="call_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.model} · {self.operation_key or self.pk}"

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
