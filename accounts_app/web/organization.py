"""The page of the active organization, and the switch to another."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError, InvalidInput, LastOwner, NotFound
from accounts_app.http import person_of
from accounts_app.models import Role
from accounts_app.selectors import (
    audit_recent,
    invitation_list,
    member_list,
    organization_active,
    organization_choices,
    organization_is_mine,
)
from accounts_app.services.members import member_add, member_remove, member_role_set, organization_leave
from accounts_app.services.organizations import organization_create
from accounts_app.services.principals import ACTIVE_ORGANIZATION, can_manage
from accounts_app.web.forms import MemberForm, OrganizationForm, RoleForm
from accounts_app.web.mixins import ManagerMixin, OrganizationMixin


class OrganizationPage(OrganizationMixin):
    """Base of the views that show the page, again with what was wrong when a form did not go through."""

    def page(self, *, status: int = 200, **changed: Any) -> HttpResponse:
        manages = can_manage(self.tenant)
        context: dict[str, Any] = {
            "organization": organization_active(),
            "members": member_list(),
            "choices": organization_choices(),
            "roles": Role.choices,
            "manages": manages,
            "log": audit_recent() if manages else None,
            "invitations": invitation_list() if manages else None,
            "member_form": MemberForm(),
            "organization_form": OrganizationForm(),
        }
        return render(self.request, "accounts_app/organization.html", context | changed, status=status)

    def may_enter(self) -> bool:
        # A viewer changes nothing in the organization, yet may leave it, switch away and begin one of their own.
        return True


class OrganizationView(OrganizationPage):
    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()


class OrganizationCreateView(OrganizationPage):
    def post(self, request: HttpRequest) -> HttpResponse:
        form = OrganizationForm(request.POST)
        if not form.is_valid():
            return self.page(status=400, organization_form=form)
        organization = organization_create(user=person_of(request), name=form.cleaned_data["name"])
        request.session[ACTIVE_ORGANIZATION] = str(organization.pk)
        messages.success(request, _("You now work in %(name)s.") % {"name": organization.name})
        return redirect("accounts:organization")


class OrganizationSwitchView(OrganizationPage):
    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            organization_id = UUID(request.POST.get("organization", ""))
        except ValueError:
            raise NotFound from None
        if not organization_is_mine(organization_id):
            raise NotFound
        request.session[ACTIVE_ORGANIZATION] = str(organization_id)
        return redirect("/")


class OrganizationLeaveView(OrganizationPage):
    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            organization_leave()
        except LastOwner as error:
            return _back(request, error)
        request.session.pop(ACTIVE_ORGANIZATION, None)
        messages.success(request, _("You have left the organization."))
        return redirect("accounts:organization")


class MemberAddView(ManagerMixin, OrganizationPage):
    def post(self, request: HttpRequest) -> HttpResponse:
        form = MemberForm(request.POST)
        if form.is_valid():
            try:
                member_add(**form.cleaned_data)
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
            else:
                messages.success(request, _("%(email)s is a member now.") % form.cleaned_data)
                return redirect("accounts:organization")
        return self.page(status=400, member_form=form)


class MemberRoleView(ManagerMixin):
    def post(self, request: HttpRequest, membership_id: UUID) -> HttpResponse:
        form = RoleForm(request.POST)
        if not form.is_valid():
            return _back(request, InvalidInput(_("There is no such role.")))
        try:
            member_role_set(membership_id=membership_id, role=form.cleaned_data["role"])
        except LastOwner as error:
            return _back(request, error)
        messages.success(request, _("The role is changed."))
        return redirect("accounts:organization")


class MemberRemoveView(ManagerMixin):
    def post(self, request: HttpRequest, membership_id: UUID) -> HttpResponse:
        try:
            member_remove(membership_id=membership_id)
        except LastOwner as error:
            return _back(request, error)
        messages.success(request, _("The person is no longer a member."))
        return redirect("accounts:organization")


def _back(request: HttpRequest, error: DeepSpaceError) -> HttpResponse:
    messages.error(request, error.message)
    return redirect("accounts:organization")
