from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7

# The events that the statistics of runs are made of.
COUNTED = ["run.created", "run.forked", "run.retried", "run.completed", "run.failed", "run.cancelled"]


class RunEvent(models.Model):
    """One fact about a run. Append-only; ``seq`` has no gaps and ``prev_event_id`` chains each to the one before.

    The events of a run lie together, in the month of the run's id. The run can be rebuilt from them alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # One key leads to the run and its organization, see migration 0010; the unique keys below begin with the run.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # No foreign key: SET NULL would be an update of an append-only row.
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    run = models.ForeignKey(
        "workflows_app.WorkflowRun",
        on_delete=models.PROTECT,
        related_name="events",
        db_constraint=False,
        db_index=False,
    )
    seq = models.PositiveIntegerField(_("number"))
    prev_event_id = models.UUIDField(_("previous event"), null=True, blank=True)
    type = models.CharField(_("type"), max_length=40)
    step_key = models.CharField(_("step"), max_length=60, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), null=True, blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "run_events"
        verbose_name = _("run event")
        verbose_name_plural = _("run events")
        ordering = ["run", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["run", "seq"], name="event_seq_once"),
            models.UniqueConstraint(fields=["run", "prev_event_id"], nulls_distinct=False, name="event_chain_unforked"),
        ]
        indexes = [
            # the trace page: everything that one request caused
            models.Index(fields=["trace_id"], name="run_event_by_trace"),
            # the roll-up: what began and ended since the watermark, see workflow_statistics.sql; two rows a run
            models.Index(fields=["created_at"], condition=models.Q(type__in=COUNTED), name="run_event_counted"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"
