"""TASKS_ENABLED=false closes every entry of this room, as if it were not there."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest

from accounts_app.exceptions import NotFound

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def task_entry(view: ViewT) -> ViewT:
    """Answer 404 while tasks are switched off; the setting is read with each request."""

    @wraps(view)
    def gated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not settings.TASKS_ENABLED:
            raise NotFound
        return view(request, *args, **kwargs)

    return gated  # type: ignore[return-value]
