from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class ProviderReport(models.Model):
    """One file of a provider's, as an operator read it in. Operators only: providers do not know our organizations."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    provider = models.CharField(_("provider"), max_length=60)
    name = models.CharField(_("file"), max_length=200)
    # SHA-256 of the file: read in twice, it counts once.
    digest = models.CharField(_("digest"), max_length=64)
    lines = models.PositiveIntegerField(_("lines"))
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    created_at = models.DateTimeField(_("read in at"), auto_now_add=True)

    class Meta:
        db_table = "provider_reports"
        verbose_name = _("provider's report")
        verbose_name_plural = _("providers' reports")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "digest"], name="provider_report_once"),
            models.CheckConstraint(condition=Q(first_day__lte=models.F("last_day")), name="provider_report_days"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} · {self.name}"


class ProviderReportRow(models.Model):
    """What a provider says about one request, or about all of a model's requests of one day (UTC).

    Tokens are totals, as providers report them: input with what was cached, output with reasoning. A later report about
    the same request, or the same day and model, replaces the row.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    report = models.ForeignKey(ProviderReport, on_delete=models.CASCADE, related_name="rows")
    provider = models.CharField(_("provider"), max_length=60)
    # The provider's id of the request, else our call's id, else day and model: what the row is about.
    key = models.CharField(_("about"), max_length=200)
    # The id that we sent along (x-client-request-id); one call may have several requests.
    call_id = models.UUIDField(_("call"), null=True, blank=True)
    request_id = models.CharField(_("request"), max_length=200, blank=True)
    day = models.DateField(_("day"))
    model = models.CharField(_("model"), max_length=120)
    requests = models.BigIntegerField(_("requests"), default=1)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_input_tokens = models.BigIntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.BigIntegerField(_("tokens written to the cache"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, null=True, blank=True)

    class Meta:
        db_table = "provider_report_rows"
        verbose_name = _("line of a provider's report")
        verbose_name_plural = _("lines of providers' reports")
        ordering = ["-day", "model", "key"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "key"], name="provider_report_row_once"),
            models.CheckConstraint(
                condition=Q(
                    requests__gte=0, cached_input_tokens__gte=0, cache_write_tokens__gte=0, reasoning_tokens__gte=0,
                    input_tokens__gte=models.F("cached_input_tokens") + models.F("cache_write_tokens"),
                    output_tokens__gte=models.F("reasoning_tokens"),
                ),
                name="provider_report_row_tokens_add_up",
            ),
        ]  # fmt: skip
        indexes = [
            # what the provider says about one call of ours
            models.Index(fields=["call_id"], condition=Q(call_id__isnull=False), name="provider_row_by_call"),
            models.Index(fields=["day", "provider"], name="provider_row_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} · {self.key}"


class ReconciliationRun(models.Model):
    """One comparison of ledger, usage and providers' reports for one day (UTC)."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    day = models.DateField(_("day"))
    calls = models.BigIntegerField(_("calls recorded"))
    reported = models.BigIntegerField(_("requests reported"))
    differences = models.PositiveIntegerField(_("differences"))
    created_at = models.DateTimeField(_("compared at"), auto_now_add=True)

    class Meta:
        db_table = "reconciliation_runs"
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["day"], name="reconciliation_by_day")]

    def __str__(self) -> str:
        return f"{self.day}"


class DifferenceKind(models.TextChoices):
    """Charge: a call's record and its capture differ. Unrecorded: the provider reports a request that we have no
    record of. Unreported: we recorded tokens of which the provider's requests say nothing. Tokens: both know the call
    and count differently. Totals: a day's sums of a model differ.
    """

    CHARGE = "charge", pgettext_lazy("difference", "Charge and capture")
    UNRECORDED = "unrecorded", pgettext_lazy("difference", "Not recorded by us")
    UNREPORTED = "unreported", pgettext_lazy("difference", "Not reported by the provider")
    TOKENS = "tokens", pgettext_lazy("difference", "Tokens of a call")
    TOTALS = "totals", pgettext_lazy("difference", "Totals of a day")


class ReconciliationDifference(models.Model):
    """Where the three books differ. Open until it is gone or an operator has explained it."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="found")
    # Whose call it is, where that is known.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    day = models.DateField(_("day"))
    kind = models.CharField(_("what differs"), max_length=12, choices=DifferenceKind)
    provider = models.CharField(_("provider"), max_length=60, blank=True)
    model = models.CharField(_("model"), max_length=120, blank=True)
    call_id = models.UUIDField(_("call"), null=True, blank=True)
    request_id = models.CharField(_("request"), max_length=200, blank=True)
    # Figures by name: tokens and requests as numbers, USD as text.
    ours = models.JSONField(_("our figures"))
    theirs = models.JSONField(_("the other figures"))
    explanation = models.CharField(_("explanation"), max_length=300, blank=True)
    explained_at = models.DateTimeField(_("explained at"), null=True, blank=True)
    created_at = models.DateTimeField(_("found at"), auto_now_add=True)

    class Meta:
        db_table = "reconciliation_differences"
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["-day", "kind", "provider", "model", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "kind", "provider", "model", "call_id", "request_id"],
                name="difference_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(kind__in=DifferenceKind.values), name="difference_kind_known"),
            models.CheckConstraint(
                condition=Q(explanation="", explained_at__isnull=True)
                | (~Q(explanation="") & Q(explained_at__isnull=False)),
                name="difference_explained_at_when_explained",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} · {self.get_kind_display()}"
