"""The pages of workflow templates to look at: the list, one template, two compared, a file of one."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.pagination import Cursor
from rest_framework.request import Request

from accounts_app.api.pagination import KeysetPagination
from accounts_app.exceptions import NotFound
from accounts_app.services.principals import can_manage
from accounts_app.web.mixins import OrganizationMixin
from workflows_app.api.templates_actions import exported, packed
from workflows_app.filters import TemplateFilter
from workflows_app.models import WorkflowConfig
from workflows_app.models.config import STARTABLE
from workflows_app.reads.templates import MOST_COUNTED, template_list, template_uses, template_versions
from workflows_app.selectors import config_get
from workflows_app.services.configs import problems_of
from workflows_app.services.differences import document_differences
from workflows_app.services.documents import document_parse
from workflows_app.services.templates import template_document
from workflows_app.services.validation import config_shape, errors_only
from workflows_app.web.templates_outline import limits_of, outline_of

STATUS_TAGS = {"draft": "tag--warn", "published": "tag--good", "active": "tag--good", "inactive": ""}
_PAGE_FILTERS = ("q", "status", "owner")


class _BareCursors(KeysetPagination):
    page_size = 20

    def encode_cursor(self, cursor: Cursor) -> str:
        return parse_qs(urlsplit(super().encode_cursor(cursor)).query)[self.cursor_query_param][0]


class ListView(OrganizationMixin):
    """The organization's templates and the shared ones, newest first, with how much each is used."""

    def get(self, request: HttpRequest) -> HttpResponse:
        found = TemplateFilter(request.GET, queryset=template_list().select_related("workspace"))
        pages: Any = _BareCursors()
        configs = _page(pages, request, found.qs if found.is_valid() else template_list().none())
        uses = template_uses(config.pk for config in configs)
        context = {
            "fields": [found.form[name] for name in _PAGE_FILTERS],
            "lines": [template_line(config, uses) for config in configs],
            "next_cursor": pages.get_next_link() or "",
            "previous_cursor": pages.get_previous_link() or "",
            "is_filtered": any(request.GET.get(name) for name in found.form.fields),
            "may_manage": can_manage(self.tenant),
        }
        return render(request, "workflows_app/templates/list.html", context)


class DetailView(OrganizationMixin):
    """One template: what it does, what is wrong with it, and what can be done with it."""

    def get(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        config = config_get(template_id)
        problems, shared = problems_of(config), config.organization_id is None
        parsed = None if config_shape(config.config) else document_parse(config.pk, config.config, shared=shared)
        versions = list(template_versions(config).select_related("workspace")[:20])
        uses = template_uses([config.pk])
        context = {
            "line": template_line(config, uses),
            "template": config,
            "problems": problems,
            "has_errors": bool(errors_only(problems)),
            "stages": outline_of(config.pk, config.config, problems, shared=shared),
            "limits": limits_of(parsed.limits) if parsed else (),
            "document": template_document(config),
            "versions": [template_line(version, {}) for version in versions],
            "may_manage": can_manage(self.tenant),
        }
        return render(request, "workflows_app/templates/detail.html", context)


class DiffView(OrganizationMixin):
    """What differs between two templates."""

    def get(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        newer = config_get(template_id)
        others = list(template_versions(newer)[:50])
        older = _chosen(request.GET.get("to", "")) or (others[0] if others else newer)
        if older.pk not in {other.pk for other in others}:
            others.insert(0, older)
        differences = document_differences(template_document(older), template_document(newer))
        context = {"older": older, "newer": newer, "others": others, "differences": differences}
        return render(request, "workflows_app/templates/diff.html", context)


class ExportView(OrganizationMixin):
    """The document as a file."""

    def get(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        return exported(request, config_get(template_id))


class PackView(OrganizationMixin):
    """The document as a file, with all that its steps name."""

    def get(self, request: HttpRequest, template_id: UUID) -> HttpResponse:
        return packed(request, config_get(template_id))


def template_line(config: WorkflowConfig, uses: dict[UUID, int]) -> dict[str, Any]:
    """Return a template as lists show it. Shared ones are named in the active language."""
    shared = config.organization_id is None
    count = uses.get(config.pk, 0)
    return {
        "template": config,
        "name": _(config.name) if shared else config.name,
        "shared": shared,
        "tag": STATUS_TAGS[config.status],
        "startable": config.status in STARTABLE,
        "uses": count,
        "uses_said": f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}",
    }


def _chosen(text: str) -> WorkflowConfig | None:
    try:
        return config_get(UUID(text)) if text else None
    except ValueError as error:
        raise NotFound from error


def _page(pages: Any, request: HttpRequest, configs: Any) -> list[WorkflowConfig]:
    try:
        return pages.paginate_queryset(configs, Request(request)) or []
    except exceptions.NotFound as error:
        raise NotFound from error
