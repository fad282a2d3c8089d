"""What steps logged, and where the histories of past months lie: read-only."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import EstimatedPaginator, ReadOnlyAdmin
from workflows_app.models import RunArchive, RunLog


@admin.register(RunLog)
class RunLogAdmin(ReadOnlyAdmin):
    list_display = ["at", "level", "run_id", "path", "attempt", "logger", "message"]
    list_filter = ["level"]
    search_fields = ["=run__id", "message"]
    ordering = ["-id"]
    paginator = EstimatedPaginator
    show_full_result_count = False


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
