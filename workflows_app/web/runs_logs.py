"""What the handlers of a run's steps logged: by step, level and text, and as it comes."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from workflows_app.models import LogLevel
from workflows_app.reads.logs import LONGEST_QUERY, run_logs
from workflows_app.reads.timeline import run_row
from workflows_app.web.runs import NO_NEWS, RunPage
from workflows_app.web.runs_context import page_context

_LINES_A_PAGE = 200


class LogFilterForm(forms.Form):
    """What the lines are narrowed to. ``step`` is a key, or a path within the run."""

    q = forms.CharField(
        label=_("Search"), required=False, max_length=LONGEST_QUERY, widget=forms.TextInput(attrs={"type": "search"})
    )
    level = forms.ChoiceField(label=_("At least"), required=False, choices=[("", _("Any")), *LogLevel.choices])
    step = forms.CharField(label=_("Step"), required=False, max_length=120)


class LogsView(RunPage):
    """A page of lines; a script that asks with ``?after=`` gets those that came since, or no content."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = run_row(run_id)
        form = LogFilterForm(request.GET)
        wanted: dict[str, Any] = form.cleaned_data if form.is_valid() else {}
        given = request.GET.get("after", "")
        after = int(given) if given.isdecimal() and len(given) < 10 else 0
        lines = run_logs(run.id, **wanted, after=after, limit=_LINES_A_PAGE)
        last = lines[-1].seq if lines else after
        context = {
            "run": run,
            "lines": lines,
            "more": urlencode({**{name: value for name, value in wanted.items() if value}, "after": last}),
            "is_full": len(lines) == _LINES_A_PAGE,
        }
        if self.is_part:
            nothing_new = not lines and not run.is_finished
            return HttpResponse(status=NO_NEWS) if nothing_new else self.shown("_log_lines.html", context)
        is_filtered = any(wanted.values())
        whole = page_context(run, self.tenant) | {
            "tab": "logs",
            "form": form,
            "after": after,
            "is_filtered": is_filtered,
        }
        return self.shown("logs.html", context | whole)
