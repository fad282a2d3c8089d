"""The pages of workflow templates where managers write: drafts, import, publishing and what else changes one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts_app.exceptions import DeepSpaceError
from accounts_app.web.mixins import ManagerMixin
from workflows_app.contracts import ConfigError
from workflows_app.exceptions import ConfigInvalid, DraftChanged, TemplateStateConflict
from workflows_app.models import ConfigStatus, WorkflowConfig
from workflows_app.selectors import config_get
from workflows_app.services.configs import config_publish, problems_of
from workflows_app.services.pack_parts import PackItem
from workflows_app.services.packs import MAX_BYTES
from workflows_app.services.places import line_of, pointer_lines
from workflows_app.services.templates import (
    template_activate,
    template_create,
    template_deactivate,
    template_default,
    template_delete,
    template_document,
    template_duplicate,
    template_tag,
    template_update,
)
from workflows_app.services.transfers import Imported, file_read, templates_import
from workflows_app.services.validation import config_validate, errors_only

# How many prompts of a pack are named in a message.
_LISTED = 8
EDITOR = "workflows_app/templates/editor.html"
STARTER = {
    "workspace": "general",
    "version": "1.0.0",
    "name": "",
    "description": "",
    "limits": {"max_cost": "0.50", "max_steps": 20},
    "stages": {
        "A": {
            "name": "",
            "steps": [
                {
                    "action": "generate",
                    "via": "apply",
                    "with": "draft_template",
                    "retry": {"max_attempts": 3},
                    "timeout": 120,
                },
                {"action": "finish"},
            ],
        }
    },
    "defaults": {"start": "A"},
}


@dataclass(frozen=True)
class Problem:
    """A finding with the line of the text that it is about; 0 when there is no text to count in."""

    pointer: str
    message: str
    severity: str
    line: int


class ImportForm(forms.Form):
    """A file of one workflow or several."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("JSON of one workflow or of a list of them, or a pack with prompts and eval suites."),
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )
    take_next_version = forms.BooleanField(
        label=gettext_lazy("Give a version that exists already the next free number"), required=False
    )


class NewView(ManagerMixin):
    """A new template, from a small one that works."""

    def get(self, request: HttpRequest) -> HttpResponse:
        starter = {**STARTER, "name": _("My workflow"), "stages": {"A": {**STARTER["stages"]["A"], "name": _("Write")}}}  # type: ignore[index]
        return _editor(request, _written(starter))

    def post(self, request: HttpRequest) -> HttpResponse:
        text = _sent(request)
        try:
            config = template_create(config=file_read(text.encode(errors="replace")))
        except DeepSpaceError as error:
            return _editor(request, text, error=error)
        messages.success(request, _("The draft is saved."))
        return redirect("workflows:detail", config.pk)


class EditView(ManagerMixin):
    """A draft's document."""

    def get(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        config = _draft(template_id)
        return _editor(request, _written(template_document(config)), config)

    def post(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        config, text = _draft(template_id), _sent(request)
        read = request.POST.get("tag", "")
        try:
            document = file_read(text.encode(errors="replace"))
            template_update(config_id=template_id, config=document, tags=[read] if read else [])
        except DraftChanged as error:
            # Who saves again has been told.
            return _editor(request, text, _draft(template_id), error=error)
        except DeepSpaceError as error:
            return _editor(request, text, config, error=error, tag=read)
        messages.success(request, _("The draft is saved."))
        return redirect("workflows:detail", template_id)


class CheckView(ManagerMixin):
    """What is to be said about the text in the editor, as a fragment."""

    def post(self, request: HttpRequest) -> HttpResponse:
        return render(request, "workflows_app/templates/_problems.html", {"problems": problems_in(_sent(request))})


class ImportView(ManagerMixin):
    """Workflows from a file."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "workflows_app/templates/import.html", {"form": ImportForm()})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ImportForm(request.POST, request.FILES)
        if not form.is_valid():
            return render(request, "workflows_app/templates/import.html", {"form": form}, status=400)
        try:
            content = file_read(form.cleaned_data["file"].read(MAX_BYTES + 1))
            imported = templates_import(content, take_next_version=form.cleaned_data["take_next_version"])
        except DeepSpaceError as error:
            context = {"form": form, "error": error}
            return render(request, "workflows_app/templates/import.html", context, status=error.status)
        messages.success(request, " ".join(_import_said(imported)))
        saved = imported.templates
        return redirect("workflows:detail", saved[0].pk) if len(saved) == 1 else redirect("workflows:list")


def _import_said(imported: Imported) -> Iterator[str]:
    count = len(imported.templates)
    if count:
        yield ngettext("%(count)d draft was imported.", "%(count)d drafts were imported.", count) % {"count": count}
    if imported.created:
        yield _("New here: %(names)s.") % {"names": _listed(imported.created)}
    if imported.kept:
        yield _("Here already, and kept as they are: %(names)s.") % {"names": _listed(imported.kept)}


def _listed(items: tuple[PackItem, ...]) -> str:
    named = ", ".join(item.name for item in items[:_LISTED])
    more = len(items) - _LISTED
    return _("%(names)s and %(count)d more") % {"names": named, "count": more} if more > 0 else named


class PublishView(ManagerMixin):
    """Ask, with what there is to be considered, then publish."""

    def get(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        config = _draft(template_id)
        problems = problems_of(config)
        context = {"template": config, "problems": problems, "has_errors": bool(errors_only(problems))}
        return render(request, "workflows_app/templates/publish.html", context)

    def post(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        try:
            config_publish(config_id=template_id, make_default="make_default" in request.POST)
        except (ConfigInvalid, TemplateStateConflict) as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("The version is published and never changes again."))
        return redirect("workflows:detail", template_id)


class DeedView(ManagerMixin):
    """What one button does. ``deed`` is a key of DEEDS."""

    http_method_names = ["post"]
    deed = ""

    def post(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        function, said = DEEDS[self.deed]
        try:
            config: WorkflowConfig | None = function(config_id=template_id)
        except TemplateStateConflict as error:
            messages.error(request, error.message)
            return redirect("workflows:detail", template_id)
        messages.success(request, said)
        return redirect("workflows:detail", config.pk) if config else redirect("workflows:list")


DEEDS: dict[str, tuple[Any, Any]] = {
    "activate": (template_activate, gettext_lazy("The version may be started again.")),
    "deactivate": (template_deactivate, gettext_lazy("The version is not started any more. Its runs go on.")),
    "default": (template_default, gettext_lazy("New tasks of the workspace follow this version from now on.")),
    "duplicate": (template_duplicate, gettext_lazy("This copy is a draft.")),
    "delete": (template_delete, gettext_lazy("The version is deleted.")),
}


def problems_in(text: str) -> tuple[Problem, ...]:
    """Return what is wrong with a text that should be a workflow, each with its line."""
    try:
        document = file_read(text.encode(errors="replace"))
    except ConfigInvalid as error:
        return (Problem("", error.message, "error", 0),)
    return _placed(config_validate(document), text)


def _placed(findings: tuple[ConfigError, ...], text: str) -> tuple[Problem, ...]:
    lines = pointer_lines(text)
    return tuple(Problem(item.pointer, item.message, item.severity, line_of(item.pointer, lines)) for item in findings)


def _editor(
    request: HttpRequest,
    text: str,
    config: WorkflowConfig | None = None,
    *,
    error: DeepSpaceError | None = None,
    tag: str = "",
) -> HttpResponse:
    context = {"text": text, "template": config, "error": error, "problems": problems_in(text)}
    context["tag"] = tag or (template_tag(config) if config else "")
    return render(request, EDITOR, context, status=error.status if error else 200)


def _draft(template_id: UUID) -> WorkflowConfig:
    config = config_get(template_id)
    if config.organization_id is None or config.status != ConfigStatus.DRAFT:
        raise TemplateStateConflict(_("A published version never changes. Save a new version instead."))
    return config


def _sent(request: HttpRequest) -> str:
    return request.POST.get("document", "").replace("\r\n", "\n")


def _written(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
