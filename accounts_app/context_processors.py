from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts_app.services.trace import current_trace_id


def workbench(request: HttpRequest) -> dict[str, Any]:
    """What every page's frame shows."""
    return {
        "tasks_enabled": settings.TASKS_ENABLED,
        "tenant": getattr(request, "tenant", None),
        "trace_id": current_trace_id(),
    }
