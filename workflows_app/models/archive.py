from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7


class RunArchive(models.Model):
    """One object of the file storage that holds the events of some runs of one organization and month.

    ``month`` is that of the runs' ids, ``first_run_id`` to ``last_run_id`` the range of the ids inside: of the objects
    of a month at most one can hold a run. Written by the archive job, see `workflows_app.services.archive`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    month = models.DateField(_("month"))
    first_run_id = models.UUIDField(_("first run"))
    last_run_id = models.UUIDField(_("last run"))
    storage_key = models.CharField(_("storage key"), max_length=300)
    runs = models.PositiveIntegerField(_("runs"))
    events = models.PositiveIntegerField(_("events"))
    size = models.PositiveIntegerField(_("size (bytes)"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "run_archives"
        verbose_name = _("archived history")
        verbose_name_plural = _("archived histories")
        ordering = ["-month", "organization", "first_run_id"]
        constraints = [
            # Also the way to a run's object: … AND month = … AND first_run_id <= … ORDER BY first_run_id DESC LIMIT 1
            models.UniqueConstraint(fields=["organization", "month", "first_run_id"], name="archive_range_once"),
            models.CheckConstraint(
                condition=models.Q(first_run_id__lte=models.F("last_run_id")), name="archive_range_ordered"
            ),
            models.CheckConstraint(
                condition=models.Q(runs__gte=1, events__gte=models.F("runs")), name="archive_not_empty"
            ),
            models.CheckConstraint(condition=models.Q(month__day=1), name="archive_month_begins"),
        ]

    def __str__(self) -> str:
        return self.storage_key
