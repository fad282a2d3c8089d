"""The pages of projects."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, InvalidInput
from accounts_app.models import Project
from accounts_app.selectors import api_keys_visible, ip_rules, project_list
from accounts_app.services.principals import can_manage, can_write
from accounts_app.services.projects import project_archive, project_change, project_create, project_restore
from accounts_app.web.forms import IpRuleForm, ProjectForm
from accounts_app.web.mixins import OrganizationMixin


class ProjectsView(OrganizationMixin):
    """List the projects; make one. ``?archived=`` names the one just put away, to take it back at once."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(self._form())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self._form(request.POST)
        if form.is_valid():
            try:
                project = project_create(**form.cleaned_data)
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
            else:
                messages.success(request, _("The project “%(name)s” is made.") % {"name": project.name})
                return redirect("accounts:projects")
        return self._page(form, status=400)

    def _form(self, *given: Any) -> ProjectForm:
        return project_form(*given, manages=can_manage(self.tenant))

    def _page(self, form: ProjectForm, *, status: int = 200) -> HttpResponse:
        projects = list(project_list())
        just_archived = self.request.GET.get("archived", "")
        context = {
            "form": form,
            "projects": [project for project in projects if project.archived_at is None],
            "archived": [project for project in projects if project.archived_at is not None],
            "just_archived": next(
                (each for each in projects if each.archived_at and str(each.pk) == just_archived), None
            ),
            "may_write": can_write(self.tenant),
        }
        return render(self.request, "accounts_app/projects.html", context, status=status)


class ProjectView(OrganizationMixin):
    """One project: its name, its keys, who may use them from where."""

    def get(self, request: HttpRequest, project_id: UUID) -> HttpResponse:
        project = get_object_or_404(project_list(), pk=project_id)
        return self._page(project, self._form(initial=_fields(project)))

    def post(self, request: HttpRequest, project_id: UUID) -> HttpResponse:
        project = get_object_or_404(project_list(), pk=project_id)
        form = self._form(request.POST)
        if form.is_valid():
            fields = _fields(project) | form.cleaned_data
            try:
                project_change(project_id=project_id, **fields)
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
            else:
                messages.success(request, _("The project is changed."))
                return redirect("accounts:project", project_id)
        return self._page(project, form, status=400)

    def _form(self, *given: Any, **kwargs: Any) -> ProjectForm:
        return project_form(*given, manages=can_manage(self.tenant), **kwargs)

    def _page(self, project: Project, form: ProjectForm, *, status: int = 200) -> HttpResponse:
        context = {
            "project": project,
            "form": form,
            "keys": api_keys_visible().filter(project_id=project.pk),
            "rules": ip_rules(project_id=project.pk),
            "rule_form": IpRuleForm(),
            "manages": can_manage(self.tenant),
            "may_write": can_write(self.tenant),
        }
        return render(self.request, "accounts_app/project.html", context, status=status)


class ProjectArchiveView(OrganizationMixin):
    """Ask, then put away."""

    def get(self, request: HttpRequest, project_id: UUID) -> HttpResponse:
        project = get_object_or_404(project_list(), pk=project_id)
        keys = api_keys_visible().filter(project_id=project.pk, revoked_at=None).count()
        return render(request, "accounts_app/project_archive.html", {"project": project, "keys": keys})

    def post(self, request: HttpRequest, project_id: UUID) -> HttpResponse:
        project_archive(project_id=project_id)
        return redirect(f"{reverse('accounts:projects')}?archived={project_id}")


class ProjectRestoreView(OrganizationMixin):
    def post(self, request: HttpRequest, project_id: UUID) -> HttpResponse:
        try:
            project = project_restore(project_id=project_id)
        except Conflict as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("The project “%(name)s” is back.") % {"name": project.name})
        return redirect("accounts:projects")


def _fields(project: Project) -> dict[str, Any]:
    return {"name": project.name, "description": project.description, "log_prompts": project.log_prompts}


def project_form(*given: Any, manages: bool, **kwargs: Any) -> ProjectForm:
    """Return the form; whether prompts are logged is only for managers to say."""
    form = ProjectForm(*given, **kwargs)
    if not manages:
        del form.fields["log_prompts"]
    return form
