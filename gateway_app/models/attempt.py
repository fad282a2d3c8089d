from django.db import models
from django.db.models import Q
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7
from gateway_app.models.call import GatewayCall


class AttemptStatus(models.TextChoices):
    """Answered (a stream began or an answer came); failed; abandoned (its process was gone).

    Running ones have no row: a try is stored when it has ended.
    """

    RUNNING = "running", _("Running")
    ANSWERED = "answered", _("Answered")
    FAILED = "failed", _("Failed")
    ABANDONED = "abandoned", _("Abandoned")


class GatewayAttempt(models.Model):
    """One try of a call at a provider. Callers see only the call; operators see what it took.

    A tenant's row, partitioned and kept like its call. Only the process that makes the call adds its attempts.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    call = models.ForeignKey(
        GatewayCall,
        on_delete=models.DO_NOTHING,
        related_name="attempts",
        verbose_name=_("call"),
        db_constraint=False,
    )
    number = models.SmallIntegerField(_("number"))
    provider = models.CharField(_("provider"), max_length=60)
    status = models.CharField(_("status"), max_length=10, choices=AttemptStatus, default=AttemptStatus.RUNNING)
    http_status = models.SmallIntegerField(_("HTTP status"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=300, blank=True)
    upstream_request_id = models.CharField(_("provider's request id"), max_length=120, blank=True)
    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    latency_ms = models.IntegerField(_("took (ms)"), null=True, blank=True)

    class Meta:
        db_table = "gateway_attempts"
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["call", "number"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=AttemptStatus.values), name="attempt_status_known"),
            models.CheckConstraint(
                condition=GreaterThanOrEqual(
                    Least("number", "http_status", "latency_ms", output_field=models.IntegerField()), 0
                ),
                name="attempt_counts_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} · {self.number}"
