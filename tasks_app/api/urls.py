from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, path

from accounts_app.middleware import non_atomic
from tasks_app.api import views
from tasks_app.gate import task_entry

View = Callable[..., HttpResponseBase]


def _both(route: str, view: View, name: str) -> Iterator[URLPattern]:
    """The route with and without the slash at its end: a POST cannot be redirected from one to the other."""

    @wraps(view)
    def slashless(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return view(request, **kwargs)

    # One of the two is enough for the OpenAPI document, which looks for the class.
    vars(slashless).pop("cls", None)
    yield path(f"{route}/", view, name=name)
    yield path(route, slashless, name=f"{name}-slashless")


urlpatterns: list[URLPattern | URLResolver] = [
    *_both("tasks", task_entry(views.TasksView.as_view()), "api-tasks"),
    *_both("tasks/<uuid:task_id>", task_entry(views.TaskView.as_view()), "api-task"),
    *_both("tasks/<uuid:task_id>/events", task_entry(views.TaskEventsView.as_view()), "api-task-events"),
    *_both("tasks/<uuid:task_id>/advance", non_atomic(task_entry(views.TaskAdvanceView.as_view())), "api-task-advance"),
    *_both("tasks/<uuid:task_id>/cancel", task_entry(views.TaskCancelView.as_view()), "api-task-cancel"),
    *_both("tasks/<uuid:task_id>/replay", task_entry(views.TaskReplayView.as_view()), "api-task-replay"),
    *_both("tasks/<uuid:task_id>/archive", task_entry(views.TaskArchiveView.as_view()), "api-task-archive"),
    *_both("tasks/<uuid:task_id>/unarchive", task_entry(views.TaskUnarchiveView.as_view()), "api-task-unarchive"),
]
