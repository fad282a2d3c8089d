"""Workspaces and workflow versions in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from workflows_app.models import ConfigStatus, WorkflowConfig, Workspace


@admin.register(Workspace)
class WorkspaceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["key", "name", "name_zh_hans", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["key", "name", "name_zh_hans"]
    # The seed names them; an operator switches them on and off.
    readonly_fields = ["key", "name", "name_zh_hans", "created_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WorkflowConfig)
class WorkflowConfigAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "version", "workspace", "organization", "status", "is_default", "created_at"]
    list_filter = ["workspace", "status", "is_default"]
    list_select_related = ["workspace", "organization"]
    search_fields = ["=id", "version", "name", "description", "organization__name"]
    date_hierarchy = "created_at"
    # Name, version and document say the same: only the API and the pages change them, all at once.
    readonly_fields = [
        "organization", "workspace", "name", "version", "description", "config", "status", "is_default",
        "created_by", "created_at", "updated_at", "published_at",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Versions are drafted, checked and published through the API; the seed brings the shared ones.
        return False

    def has_change_permission(self, request: HttpRequest, obj: WorkflowConfig | None = None) -> bool:
        return (obj is None or obj.status == ConfigStatus.DRAFT) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: WorkflowConfig | None = None) -> bool:
        return obj is not None and obj.status == ConfigStatus.DRAFT and super().has_delete_permission(request, obj)
