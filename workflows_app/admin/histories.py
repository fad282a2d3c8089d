"""What steps logged, and where the histories of past months lie: read-only."""

from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from workflows_app.admin.tables import BigTableAdmin, OfRunWhen
from workflows_app.models import RunArchive, RunLog


@admin.register(RunLog)
class RunLogAdmin(BigTableAdmin):
    list_display = ["at", "level", "run_link", "path", "attempt", "logger", "message"]
    list_filter = [OfRunWhen, "level"]
    search_help_text = _("Id of the run.")

    def found_by(self, wanted: UUID) -> Q:
        return Q(run_id=wanted)

    @admin.display(description=_("run"))
    def run_link(self, row: RunLog) -> str:
        """Return the link to the run."""
        address = reverse("admin:workflows_app_workflowrun_change", args=[row.run_id])
        return format_html('<a href="{}">{}</a>', address, row.run_id)


@admin.register(RunArchive)
class RunArchiveAdmin(ReadOnlyAdmin):
    list_display = ["month", "organization", "runs", "events", "bytes", "storage_key", "created_at"]
    list_filter = ["month"]
    list_select_related = ["organization"]
    search_fields = ["organization__name", "storage_key", "sha256"]

    @admin.display(description=_("size"), ordering="size")
    def bytes(self, row: RunArchive) -> str:
        """The size with its unit."""
        return filesizeformat(row.size)
