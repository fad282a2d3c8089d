"""Writing a prompt or a version: rows of messages and variables in plain forms."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.principals import can_write
from accounts_app.web.mixins import OrganizationMixin
from prompts_app.contracts import Finding, LintDocument
from prompts_app.exceptions import SharedPromptReadOnly
from prompts_app.models import Prompt
from prompts_app.selectors import prompt_get, specs_from, version_of, version_to_rewrite
from prompts_app.services.linter import lint
from prompts_app.services.prompts import prompt_create, version_create
from prompts_app.web.forms import PromptForm, VersionForm
from prompts_app.web.views import chosen_uuid, to_version

TEMPLATE = "prompts_app/editor.html"


def with_another_row(data: QueryDict, prefix: str) -> QueryDict:
    """Return the sent form with one more empty row."""
    changed = data.copy()
    count = changed.get(f"{prefix}-TOTAL_FORMS", "")
    number = int(count) if count.isascii() and count.isdigit() else 0
    changed[f"{prefix}-TOTAL_FORMS"] = str(number + 1)
    # A row that was sent has no initial values any more, so the usual ones are sent with it.
    changed[f"{prefix}-{number}-{'role' if prefix == 'messages' else 'required'}"] = "user"
    return changed


def findings_of(form: VersionForm) -> tuple[Finding, ...]:
    """Return what the linter says about what was typed in; raises InvalidInput when it cannot be a prompt at all."""
    content = form.draft().cleaned()
    variables = specs_from(content["variables"])
    return lint(LintDocument("prompt", messages=tuple(content["messages"]), variables=variables))


class EditorView(OrganizationMixin):
    """What the two editors share: an empty row more, a check by the linter, or saving, as the button says."""

    def may_enter(self) -> bool:
        return can_write(self.tenant)

    def _page(self, form: VersionForm, *, status: int = 200, **extra: Any) -> HttpResponse:
        return render(self.request, TEMPLATE, {"form": form, **extra}, status=status)

    def _refused(self, form: VersionForm, error: InvalidInput, **extra: Any) -> HttpResponse:
        form.errors = [f"{item.field}: {item.message}" for item in error.details] or [error.message]
        return self._page(form, status=400, **extra)

    def _checked(self, form: VersionForm, **extra: Any) -> HttpResponse:
        try:
            return self._page(form, findings=findings_of(form), checked=True, **extra)
        except InvalidInput as error:
            return self._refused(form, error, **extra)


class PromptNewView(EditorView):
    """A new prompt with its first version."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(VersionForm(), prompt_form=PromptForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        action = request.POST.get("do", "save")
        if action in ("messages", "variables"):
            data = with_another_row(request.POST, action)
            return self._page(VersionForm(data), prompt_form=PromptForm(data))
        form, prompt_form = VersionForm(request.POST), PromptForm(request.POST)
        if not all([form.is_valid(), prompt_form.is_valid()]):
            return self._page(form, prompt_form=prompt_form, status=400)
        if action == "check":
            return self._checked(form, prompt_form=prompt_form)
        try:
            prompt = prompt_create(draft=form.draft(), **prompt_form.cleaned_data)
        except InvalidInput as error:
            return self._refused(form, error, prompt_form=prompt_form)
        messages.success(request, _("The prompt has its first version, a draft. Try it out, then publish it."))
        return redirect("prompts:detail", prompt.pk)


class VersionNewView(EditorView):
    """A new draft that begins as a copy of ``?from=``, or of the newest version."""

    def get(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt = self._own(prompt_id)
        return self._page(self._form(prompt), prompt=prompt)

    def post(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt = self._own(prompt_id)
        action = request.POST.get("do", "save")
        if action in ("messages", "variables"):
            return self._page(self._form(prompt, with_another_row(request.POST, action)), prompt=prompt)
        form = self._form(prompt, request.POST)
        if not form.is_valid():
            return self._page(form, prompt=prompt, status=400)
        if action == "check":
            return self._checked(form, prompt=prompt)
        try:
            version = version_create(prompt_id=prompt_id, draft=form.draft())
        except InvalidInput as error:
            return self._refused(form, error, prompt=prompt)
        messages.success(request, _("Version %(number)d is saved as a draft.") % {"number": version.number})
        return to_version(version)

    def _own(self, prompt_id: UUID) -> Prompt:
        prompt = prompt_get(prompt_id)
        if prompt.is_shared:
            raise SharedPromptReadOnly
        return prompt

    def _form(self, prompt: Prompt, data: QueryDict | None = None) -> VersionForm:
        version_id = chosen_uuid(self.request.GET.get("from", ""))
        version = version_of(prompt, version_id) if version_id else version_to_rewrite(prompt)
        return VersionForm(data, version)
