"""A run's timeline as a file."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from accounts_app.exceptions import NotFound
from accounts_app.web.mixins import OrganizationMixin
from workflows_app.reads.timeline_export import json_text, run_json, run_markdown

TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8"}


class ExportView(OrganizationMixin):
    """``timeline.json`` holds the waterfall and every event, ``timeline.md`` reads like a report."""

    def get(self, request: HttpRequest, run_id: UUID, kind: str) -> HttpResponse:
        if kind not in TYPES:
            raise NotFound
        text = json_text(run_json(run_id)) if kind == "json" else run_markdown(run_id)
        response = HttpResponse(text, content_type=TYPES[kind])
        response["Content-Disposition"] = f'attachment; filename="run-{run_id}.{kind}"'
        response["Cache-Control"] = "no-store"
        return response
