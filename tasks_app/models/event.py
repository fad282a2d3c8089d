import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class TaskEvent(models.Model):
    """One thing that happened to a task. Append-only; ``prev_event`` makes one chain of each task's events."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # No foreign key: the row outlives the user, and a key in the way of SET NULL would be an UPDATE.
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    task = models.ForeignKey("tasks_app.Task", on_delete=models.PROTECT, related_name="events", db_index=False)
    seq = models.PositiveIntegerField(_("number"))
    # create, advance:STAGE, apply, linter, eval, rewrite, complete:STAGE, finish, failed, cancelled, archive …
    event_key = models.CharField(_("event"), max_length=80)
    stage_key = models.CharField(_("stage"), max_length=64, blank=True)
    step_key = models.CharField(_("step"), max_length=80, blank=True)
    run_id = models.UUIDField(_("run"), null=True, blank=True)
    input = models.JSONField(_("input"), default=dict, blank=True)
    output = models.JSONField(_("output"), default=dict, blank=True)
    model = models.CharField(_("model"), max_length=120, blank=True)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    prev_event = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "task_events"
        verbose_name = _("task event")
        verbose_name_plural = _("task events")
        ordering = ["task", "seq"]
        constraints = [
            # One beginning and one successor each: the events of a task are one chain. Serves the timeline too.
            models.UniqueConstraint(
                fields=["task", "prev_event"], name="task_event_chain_unforked", nulls_distinct=False
            ),
            models.UniqueConstraint(fields=["task", "seq"], name="task_event_number_once"),
            models.CheckConstraint(
                condition=Q(seq=1, prev_event=None) | Q(seq__gt=1, prev_event__isnull=False),
                name="task_event_first_has_no_previous",
            ),
            models.CheckConstraint(
                condition=Q(cost_usd__gte=0, input_tokens__gte=0, output_tokens__gte=0),
                name="task_event_usage_not_negative",
            ),
        ]
        indexes = [
            # "latest events" of a prompt's side bar
            models.Index(fields=["organization", "-created_at"], name="task_event_newest"),
            # the trace page: everything that one request caused
            models.Index(fields=["trace_id"], name="task_event_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.event_key}"

    @property
    def total_tokens(self) -> int:
        """All tokens that this event bears."""
        return self.input_tokens + self.output_tokens
