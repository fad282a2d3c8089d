from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7


class LogLevel(models.TextChoices):
    """In the order of their weight."""

    DEBUG = "debug", _("Debug")
    INFO = "info", _("Info")
    WARNING = "warning", _("Warning")
    ERROR = "error", _("Error")
    CRITICAL = "critical", _("Critical")


class RunLog(models.Model):
    """One line that was logged while a step of a run was carried out. Append-only, in the month of the run's id.

    ``seq`` numbers the run's lines; ``path`` names the step within the run, as in `StepRun`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # One key leads to the run and its organization, see migration 0010; the unique key below begins with the run.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    run = models.ForeignKey(
        "workflows_app.WorkflowRun",
        on_delete=models.PROTECT,
        related_name="log_lines",
        db_constraint=False,
        db_index=False,
        verbose_name=_("run"),
    )
    seq = models.PositiveIntegerField(_("number"))
    path = models.CharField(_("path"), max_length=120)
    step_key = models.CharField(_("step"), max_length=60)
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    level = models.CharField(_("level"), max_length=8, choices=LogLevel)
    logger = models.CharField(_("logger"), max_length=120)
    message = models.TextField(_("message"))
    data = models.JSONField(_("data"), default=dict, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "run_logs"
        verbose_name = _("log line of a run")
        verbose_name_plural = _("log lines of runs")
        ordering = ["run", "seq"]
        constraints = [
            # Serves every read and search, which are all within one run: … WHERE run_id = … AND seq > … ORDER BY seq
            models.UniqueConstraint(fields=["run", "seq"], name="run_log_seq_once"),
            models.CheckConstraint(condition=models.Q(level__in=LogLevel.values), name="run_log_level_known"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.message[:80]}"
