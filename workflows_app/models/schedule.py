from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel


class Misfire(models.TextChoices):
    """What becomes of times that passed while nothing could start: one run for all of them, or none."""

    ONCE = "once", _("Start once, late")
    SKIP = "skip", _("Leave out")


MOST_AT_ONCE = 100


class WorkflowSchedule(TenantIndexedModel):
    """Starts a workflow by the clock, as ``user``: whoever saved it last.

    ``next_run_at`` is the truth; beat's row with the same expression, which holds nothing of the tenant's but this id,
    is an alarm clock that may ring early, twice or not at all.
    """

    name = models.CharField(_("name"), max_length=120)
    template = models.CharField(_("template"), max_length=200)
    input = models.JSONField(_("input"), default=dict, blank=True)
    cron = models.CharField(_("cron expression"), max_length=200)
    timezone = models.CharField(_("time zone"), max_length=64, default="UTC")
    is_active = models.BooleanField(_("active"), default=True)
    misfire = models.CharField(_("missed times"), max_length=10, choices=Misfire, default=Misfire.ONCE)
    max_overlap = models.PositiveSmallIntegerField(
        _("runs at once"), default=1, validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)]
    )
    next_run_at = models.DateTimeField(_("next run"), null=True, blank=True)
    last_run_at = models.DateTimeField(_("last run"), null=True, blank=True)
    last_run_id = models.UUIDField(_("last run's id"), null=True, blank=True)
    # {code, message, at}: why the last due time started nothing.
    last_error = models.JSONField(_("last error"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "workflow_schedules"
        verbose_name = _("workflow schedule")
        verbose_name_plural = _("workflow schedules")
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="schedule_name_once"),
            models.CheckConstraint(condition=models.Q(misfire__in=Misfire.values), name="schedule_misfire_known"),
            models.CheckConstraint(
                condition=models.Q(max_overlap__gte=1, max_overlap__lte=MOST_AT_ONCE), name="schedule_overlap_bounded"
            ),
            models.CheckConstraint(
                condition=models.Q(is_active=False) | models.Q(next_run_at__isnull=False), name="schedule_active_is_due"
            ),
        ]
        indexes = [
            # the sweep: what is due and did not start
            models.Index(fields=["next_run_at"], condition=models.Q(is_active=True), name="schedule_due"),
            # the list, newest first
            models.Index(fields=["organization", "-created_at", "-id"], name="schedule_by_age"),
        ]

    def __str__(self) -> str:
        return self.name
