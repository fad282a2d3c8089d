"""The pages of prompts: list, one prompt, comparing, copying, publishing, naming."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError, InvalidInput
from accounts_app.services.principals import can_write
from accounts_app.web.mixins import OrganizationMixin
from prompts_app.filters import PromptFilter
from prompts_app.models import Prompt, PromptVersion
from prompts_app.selectors import prompt_get, prompt_list, version_of
from prompts_app.services.prompts import prompt_copy, prompt_update, version_publish
from prompts_app.web.detail import detail_context
from prompts_app.web.forms import PromptForm
from prompts_app.web.paging import prompt_page
from prompts_app.web.shown import diff_rows


def chosen_uuid(text: str) -> UUID | None:
    """Return the id in a query parameter, or None when it is empty or none at all."""
    try:
        return UUID(text)
    except ValueError:
        return None


def to_version(version: PromptVersion) -> HttpResponse:
    """Send the browser to a version's page."""
    response = redirect("prompts:detail", version.prompt_id)
    response["Location"] += f"?version={version.pk}"
    return response


def tell(request: HttpRequest, error: DeepSpaceError) -> None:
    """Put an error, with what is said about its fields, above the next page."""
    details = [f"{item.field}: {item.message}" for item in error.details if str(item.message) != error.message]
    messages.error(request, " ".join([error.message, *details]))


class ListView(OrganizationMixin):
    """The organization's prompts and the shared ones; search and filters stand in the address."""

    def get(self, request: HttpRequest) -> HttpResponse:
        found = PromptFilter(request.GET, queryset=prompt_list())
        prompts = found.qs if found.is_valid() else prompt_list().none()
        context = {
            "filter": found,
            "page": prompt_page(request, prompts),
            "is_filtered": any(request.GET.get(name) for name in found.form.fields),
            "may_write": can_write(self.tenant),
        }
        return render(request, "prompts_app/list.html", context)


class DetailView(OrganizationMixin):
    """One prompt at one of its versions, the newest unless ``?version=`` names another."""

    def get(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        context = detail_context(
            prompt_get(prompt_id),
            version_id=chosen_uuid(request.GET.get("version", "")),
            run_id=chosen_uuid(request.GET.get("run", "")),
        )
        return render(request, "prompts_app/detail.html", {**context, "may_write": can_write(self.tenant)})


class CompareView(OrganizationMixin):
    """Two versions of a prompt side by side."""

    def get(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt = prompt_get(prompt_id)
        versions = list(prompt.versions.order_by("-number"))
        old = self._chosen(prompt, "old", versions[min(1, len(versions) - 1)])
        new = self._chosen(prompt, "new", versions[0])
        context = {"prompt": prompt, "versions": versions, "old": old, "new": new, "rows": diff_rows(old, new)}
        return render(request, "prompts_app/compare.html", context)

    def _chosen(self, prompt: Prompt, name: str, usual: PromptVersion) -> PromptVersion:
        version_id = chosen_uuid(self.request.GET.get(name, ""))
        return usual if version_id is None else version_of(prompt, version_id)


class CopyView(OrganizationMixin):
    """Copy a shared prompt into the organization."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt = prompt_copy(prompt_id=prompt_id)
        messages.success(request, _("This is your organization's copy. Workflows use it from now on."))
        return redirect("prompts:detail", prompt.pk)


class PublishView(OrganizationMixin):
    """Ask, then publish."""

    def get(self, request: HttpRequest, prompt_id: UUID, version_id: UUID) -> HttpResponse:
        prompt = prompt_get(prompt_id)
        context = {"prompt": prompt, "version": version_of(prompt, version_id)}
        return render(request, "prompts_app/publish.html", context)

    def post(self, request: HttpRequest, prompt_id: UUID, version_id: UUID) -> HttpResponse:
        version = version_of(prompt_get(prompt_id), version_id)
        try:
            version_publish(version_id=version.pk)
            messages.success(request, _("Version %(number)d is published.") % {"number": version.number})
        except InvalidInput as error:
            tell(request, error)
        return to_version(version)


class SettingsView(OrganizationMixin):
    """What a prompt is called, and whether it is put away."""

    def get(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt = prompt_get(prompt_id)
        initial = {"name": prompt.name, "description": prompt.description, "category": prompt.category}
        return self._page(prompt, PromptForm(initial=initial, with_key=False))

    def post(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        if "archived" in request.POST:
            archived = request.POST["archived"] == "yes"
            prompt_update(prompt_id=prompt_id, changes={"archived": archived})
            messages.success(request, _("The prompt is archived.") if archived else _("The prompt is back."))
            return redirect("prompts:list") if archived else redirect("prompts:detail", prompt_id)
        form = PromptForm(request.POST, with_key=False)
        if not form.is_valid():
            return self._page(prompt_get(prompt_id), form, status=400)
        prompt_update(prompt_id=prompt_id, changes=form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("prompts:detail", prompt_id)

    def _page(self, prompt: Prompt, form: PromptForm, **options: Any) -> HttpResponse:
        return render(self.request, "prompts_app/settings.html", {"prompt": prompt, "form": form}, **options)
