"""Parts of this room that pages of lower rooms load."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from accounts_app.exceptions import InvalidInput
from accounts_app.web.mixins import OrganizationMixin
from prompts_app.selectors import prompt_get
from tasks_app.selectors import prompt_tasks
from tasks_app.selectors.tasks import latest_events, task_titles

_TASKS_SHOWN = 8
_TITLES_AT_ONCE = 200


class PromptSidebarView(OrganizationMixin):
    """The tasks bound to a prompt, with what happened in them last."""

    def get(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt_get(prompt_id)
        tasks = prompt_tasks(prompt_id, limit=_TASKS_SHOWN)
        latest = latest_events([task.id for task in tasks])
        context = {"entries": [(task, latest.get(task.id, ())) for task in tasks]}
        return render(request, "tasks_app/fragments/prompt_sidebar.html", context)


class ForPromptView(OrganizationMixin):
    """The task last bound to a prompt, in one line."""

    def get(self, request: HttpRequest, prompt_id: UUID) -> HttpResponse:
        prompt_get(prompt_id)
        task = next(iter(prompt_tasks(prompt_id, limit=1)), None)
        return render(request, "tasks_app/fragments/for_prompt.html", {"task": task})


class TitlesView(OrganizationMixin):
    """The titles of ``?id=…&id=…`` by id, for pages that know tasks by their ids only; others' tasks are left out."""

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            ids = [UUID(text) for text in request.GET.getlist("id")[:_TITLES_AT_ONCE]]
        except ValueError:
            raise InvalidInput from None
        response = JsonResponse({str(task_id): title for task_id, title in task_titles(ids).items()})
        response["Cache-Control"] = "no-store"
        return response
