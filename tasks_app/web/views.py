"""The task's own pages: what is shown and what its buttons do."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError, NotFound
from accounts_app.services.principals import can_write
from accounts_app.web.mixins import OrganizationMixin
from tasks_app.exceptions import RunInProgress
from tasks_app.selectors import task_get
from tasks_app.services.advances import Advance, task_advance, task_cancel
from tasks_app.services.controls import task_answer, task_pause, task_resume
from tasks_app.services.tasks import task_archive, task_rename, task_unarchive
from tasks_app.web.context import task_cards, task_context
from tasks_app.web.labels import step_labels


class TaskPage(OrganizationMixin):
    """Base of the views that answer with a task: its page, its panel, or its card on the dashboard."""

    def page(self, task_id: UUID) -> HttpResponse:
        return self._rendered("tasks_app/detail.html", task_context(task_get(task_id)))

    def panel(self, task_id: UUID, problem: str = "") -> HttpResponse:
        return self._rendered("tasks_app/_panel.html", {**task_context(task_get(task_id)), "problem": problem})

    def card(self, task_id: UUID, problem: str = "") -> HttpResponse:
        (card,) = task_cards([task_get(task_id)])
        return self._rendered("tasks_app/_card.html", {"card": card, "problem": problem, "focused": True})

    def done(self, task_id: UUID, problem: str = "") -> HttpResponse:
        """Answer a button: the part of the page that it is on, or, without a script, the whole page."""
        if self.request.headers.get("HX-Request"):
            show = self.card if self.request.POST.get("view") == "card" else self.panel
            return show(task_id, problem)
        if problem:
            messages.error(self.request, problem)
        return redirect("tasks:detail", task_id)

    def _rendered(self, template: str, context: dict[str, Any]) -> HttpResponse:
        context |= {"may_write": can_write(self.tenant), "step_labels": step_labels()}
        response = render(self.request, template, context)
        add_never_cache_headers(response)
        return response


class DetailView(TaskPage):
    def get(self, request: HttpRequest, task_id: UUID) -> HttpResponse:
        return self.page(task_id)


class PanelView(TaskPage):
    def get(self, request: HttpRequest, task_id: UUID) -> HttpResponse:
        return self.panel(task_id)


class CardView(TaskPage):
    def get(self, request: HttpRequest, task_id: UUID) -> HttpResponse:
        return self.card(task_id)


class TaskButton(TaskPage):
    """Base of the buttons: do it, then show the task again, with what was wrong if it could not be done."""

    def deed(self, task_id: UUID) -> None:
        """Do what the button says."""
        raise NotImplementedError

    def post(self, request: HttpRequest, task_id: UUID) -> HttpResponse:
        try:
            self.deed(task_id)
        except NotFound:
            raise
        except RunInProgress:
            # A second click, or another window: the run that is under way is shown.
            return self.done(task_id)
        except DeepSpaceError as error:
            return self.done(task_id, error.message)
        return self.done(task_id)


class AdvanceView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        stage, action = self.request.POST.get("stage", ""), self.request.POST.get("action", "")
        task_advance(task_id=task_id, advance=Advance(stage=stage, action=action, params={}))


class CancelView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        task_cancel(task_id=task_id)


class PauseView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        task_pause(task_id=task_id)


class ResumeView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        task_resume(task_id=task_id)


class AnswerView(TaskButton):
    """``answer``: approve or reject; ``note`` is kept with it."""

    def deed(self, task_id: UUID) -> None:
        approved = self.request.POST.get("answer") == "approve"
        task_answer(task_id=task_id, approved=approved, note=self.request.POST.get("note", ""))


class RenameView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        task_rename(task_id=task_id, title=self.request.POST.get("title", ""))


class ArchiveView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        task_archive(task_id=task_id)


class UnarchiveView(TaskButton):
    def deed(self, task_id: UUID) -> None:
        task_unarchive(task_id=task_id)


class DownloadView(OrganizationMixin):
    """The text as it stands, as a Markdown file."""

    def get(self, request: HttpRequest, task_id: UUID) -> HttpResponse:
        task = task_get(task_id)
        if not task.text:
            raise NotFound(_("This task has no text yet."))
        name = slugify(task.title, allow_unicode=True)[:60] or "text"
        response = HttpResponse(task.text, content_type="text/markdown; charset=utf-8")
        disposition = content_disposition_header(as_attachment=True, filename=f"{name}.md")
        response.headers["Content-Disposition"] = disposition or "attachment"
        add_never_cache_headers(response)
        return response
