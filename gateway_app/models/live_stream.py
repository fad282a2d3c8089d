from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class LiveStreamStatus(models.TextChoices):
    """Open: someone may still publish, and the events are in Redis. Closed: the whole is in this row."""

    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")


class LiveStream(TenantModel):
    """The live output of one subject (a workflow run). ``events`` holds neighbouring deltas merged into one."""

    kind = models.CharField(_("kind"), max_length=40)
    subject_id = models.UUIDField(_("subject"))
    status = models.CharField(_("status"), max_length=10, choices=LiveStreamStatus, default=LiveStreamStatus.OPEN)
    last_seq = models.PositiveBigIntegerField(_("last event"), default=0)
    events = models.JSONField(_("events"), default=list, blank=True)
    outcome = models.JSONField(_("outcome"), default=dict, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        db_table = "live_streams"
        verbose_name = _("live stream")
        verbose_name_plural = _("live streams")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=LiveStreamStatus.values), name="live_stream_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status="closed", closed_at__isnull=False)
                | models.Q(status="open", closed_at__isnull=True),
                name="live_stream_closed_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id}"

    @property
    def is_closed(self) -> bool:
        """Whether everything that was and will be published is in this row."""
        return self.status == LiveStreamStatus.CLOSED
