"""The Task Hub and the dashboard."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _
from django.views import View

from accounts_app.exceptions import DeepSpaceError, NotFound
from accounts_app.services.principals import can_write
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app.selectors import wallet_summary
from gateway_app.selectors import local_model_notice
from prompts_app.selectors import prompt_list
from tasks_app.models import Task
from tasks_app.selectors import task_list, tasks_last_bound
from tasks_app.selectors.metrics import week_metrics
from tasks_app.services.tasks import task_create
from tasks_app.web.context import focus_of, task_cards
from tasks_app.web.forms import TaskFilterForm
from tasks_app.web.labels import step_labels
from tasks_app.web.paging import TaskPage, task_page

EXAMPLES = (
    _("I want an article about how bees talk to each other, for children of ten"),
    _("Polish this: Their going too the market tomorow, and we was happy."),
    _("I want a prompt that turns meeting notes into a list of decisions"),
    _("What should I check before I buy a used bicycle?"),
)
WORKSPACES = (("", _("Auto")), ("article", _("Article")), ("prompt", _("Prompt")), ("general", _("General")))
_RECENT = 5


class HomeView(View):
    """For people who are signed in: say what you want. For everybody else: what this is."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return render(request, "tasks_app/welcome.html")
        if not settings.TASKS_ENABLED:
            return redirect("prompts:list")
        return HubView.as_view()(request)  # type: ignore[return-value]

    def post(self, request: HttpRequest) -> HttpResponse:
        if not settings.TASKS_ENABLED:
            raise NotFound
        return HubView.as_view()(request)  # type: ignore[return-value]


class HubView(OrganizationMixin):
    def get(self, request: HttpRequest) -> HttpResponse:
        example = request.GET.get("example", "")
        chosen = int(example) - 1 if example in {"1", "2", "3", "4"} else None
        return self._page(text="" if chosen is None else str(EXAMPLES[chosen]))

    def post(self, request: HttpRequest) -> HttpResponse:
        # Browsers send line ends as CRLF.
        text = request.POST.get("inputText", "").replace("\r\n", "\n")
        preferred = request.POST.get("preferredWorkspace", "")
        try:
            created = task_create(
                input_text=text, preferred_workspace=preferred, idempotency_key=request.POST.get("key", "")[:64]
            )
        except DeepSpaceError as error:
            return self._page(text=text, preferred=preferred, problem=error.message, status=400)
        query = urlencode({"focus": created.task_id})
        return redirect(f"{reverse('tasks:dashboard')}?{query}#task-{created.task_id}")

    def _page(self, *, text: str, preferred: str = "", problem: str = "", status: int = 200) -> HttpResponse:
        context = {
            "text": text,
            "preferred": preferred,
            "problem": problem,
            "key": uuid.uuid4().hex,
            "limit": settings.TASK_INPUT_LIMIT,
            "workspaces": WORKSPACES,
            "examples": EXAMPLES,
            "cards": task_cards(list(task_list()[:_RECENT])),
            "wallet": wallet_summary(current_organization_id()),
            "local_model": local_model_notice(),
            "may_write": can_write(self.tenant),
        }
        response = render(self.request, "tasks_app/home.html", context, status=status)
        add_never_cache_headers(response)
        return response


class DashboardView(OrganizationMixin):
    """This week's figures; then either the tasks or the prompts, as ``?tab=`` says."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.GET.get("tab") == "prompts":
            return self._rendered("tasks_app/dashboard.html", {"tab": "prompts", **self._prompts()})
        context = {"tab": "tasks", **self._tasks()}
        # "Load more" and the filters ask for the list alone.
        target = request.headers.get("HX-Target")
        context["only_cards"] = target == "more-tasks"
        partial = target in {"more-tasks", "task-list"}
        return self._rendered("tasks_app/_task_list.html" if partial else "tasks_app/dashboard.html", context)

    def _tasks(self) -> dict[str, Any]:
        form = TaskFilterForm(self.request.GET)
        page = self._page_of(form)
        return {
            "form": form,
            "filtered": bool(form.chosen()),
            "cards": task_cards(page.tasks),
            "next_cursor": page.next_cursor,
            "focus": focus_of(self.request.GET.get("focus", "")),
        }

    def _page_of(self, form: TaskFilterForm) -> TaskPage:
        chosen, tasks = form.chosen(), task_list()
        if "status" in chosen:
            tasks = tasks.filter(status=chosen["status"])
        if "workspace" in chosen:
            tasks = tasks.filter(workspace_key=chosen["workspace"])
        for word in chosen.get("q", "").split()[:8]:
            tasks = tasks.filter(title__icontains=word)
        page = task_page(tasks, self.request.GET.get("cursor", ""))
        return TaskPage([*self._focused(page.tasks), *page.tasks], page.next_cursor)

    def _focused(self, shown: list[Task]) -> list[Task]:
        """The task in focus, first, when the page would not show it."""
        focus = focus_of(self.request.GET.get("focus", ""))
        if focus is None or self.request.GET.get("cursor") or any(task.id == focus for task in shown):
            return []
        return list(task_list().filter(pk=focus))

    def _prompts(self) -> dict[str, Any]:
        prompts = list(prompt_list().order_by("-updated_at")[:50])
        last = tasks_last_bound(prompt.pk for prompt in prompts)
        return {"prompts": [(prompt, last.get(prompt.pk)) for prompt in prompts]}

    def _rendered(self, template: str, context: dict[str, Any]) -> HttpResponse:
        context |= {
            "metrics": week_metrics() if template.endswith("dashboard.html") else None,
            "may_write": can_write(self.tenant),
            "step_labels": step_labels(),
            "local_model": local_model_notice(),
        }
        response = render(self.request, template, context)
        add_never_cache_headers(response)
        return response
