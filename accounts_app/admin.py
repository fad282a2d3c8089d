from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.models import (
    ApiKey,
    ApiSession,
    AuditLog,
    Invitation,
    IpRule,
    Membership,
    Organization,
    Project,
    Revision,
    User,
)
from accounts_app.services.api_keys import api_keys_revoke_as_operator

admin.site.site_header = admin.site.site_title = "DeepSpace"
# Staff sign in where everybody does: with the limits on attempts and the second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


class UserCreation(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email"]


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    add_form = UserCreation
    ordering = ["-date_joined"]
    list_display = ["email", "is_active", "is_staff", "is_superuser", "date_joined", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser", "language"]
    search_fields = ["email", "first_name", "last_name"]
    date_hierarchy = "date_joined"
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        (_("Person"), {"fields": ["first_name", "last_name", "language"]}),
        (_("Permissions"), {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("Dates"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "usable_password", "password1", "password2"]})]


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "is_personal", "id", "created_at"]
    list_filter = ["is_personal"]
    search_fields = ["=id", "name", "memberships__user__email"]
    date_hierarchy = "created_at"
    readonly_fields = ["id", "is_personal", "created_at"]
    inlines = [MembershipInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        # An organization begins with an owner and a wallet; the sign-up and the page make them together.
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["user", "organization", "role", "created_at"]
    list_filter = ["role"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__email", "organization__name"]
    date_hierarchy = "created_at"
    autocomplete_fields = ["user", "organization"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", "prefix", "user", "last_used_at", "expires_at", "revoked_at", "project", "organization"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter), ("expires_at", admin.EmptyFieldListFilter)]
    list_select_related = ["user", "project", "organization"]
    search_fields = ["name", "prefix", "user__email", "organization__name"]
    date_hierarchy = "created_at"
    exclude = ["secret_hash", "previous_hash"]
    actions = ["revoke"]

    @admin.action(description=_("Revoke the selected keys"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        count = api_keys_revoke_as_operator(api_key_ids=[key.pk for key in queryset])
        self.message_user(
            request,
            ngettext("%(count)d key revoked.", "%(count)d keys revoked.", count) % {"count": count},
            messages.SUCCESS,
        )


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "action", "target_type", "target_id", "operator", "organization", "trace_id"]
    list_filter = ["action", "target_type"]
    list_select_related = ["organization"]
    search_fields = ["=trace_id", "=target_id", "action", "operator"]
    date_hierarchy = "created_at"


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ["name", "organization", "user", "created_at", "archived_at", "log_prompts"]
    list_filter = [("archived_at", admin.EmptyFieldListFilter), "log_prompts"]
    list_select_related = ["user", "organization"]
    search_fields = ["=id", "name", "organization__name"]
    date_hierarchy = "created_at"


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["email", "organization", "role", "sent_at", "expires_at", "accepted_at", "revoked_at"]
    list_filter = ["role", ("accepted_at", admin.EmptyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["email", "organization__name"]
    date_hierarchy = "created_at"
    exclude = ["token_hash"]


@admin.register(IpRule)
class IpRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Here staff write the operators' own rules; those of an organization they may see, and take away."""

    list_display = ["network", "action", "organization", "project", "api_key", "note", "created_at"]
    list_filter = ["action", ("organization", admin.EmptyFieldListFilter)]
    list_select_related = ["organization", "project", "api_key"]
    search_fields = ["network", "note", "organization__name"]
    date_hierarchy = "created_at"
    fields = ["action", "network", "note"]

    def has_change_permission(self, request: HttpRequest, obj: IpRule | None = None) -> bool:
        return (obj is None or obj.organization_id is None) and super().has_change_permission(request, obj)


@admin.register(Revision)
class RevisionAdmin(ReadOnlyAdmin):
    list_display = ["name", "number"]
    search_fields = ["name"]


@admin.register(ApiSession)
class ApiSessionAdmin(ReadOnlyAdmin):
    list_display = ["id", "user", "organization", "created_at", "refreshed_at", "expires_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["user", "organization"]
    search_fields = ["=id", "user__email", "organization__name"]
    date_hierarchy = "created_at"
    exclude = ["refresh_id"]
