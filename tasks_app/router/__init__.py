"""The first layer: which workspace and stage a sentence belongs to.

`current_router` returns the router named by the setting TASK_ROUTER, so that a classifier can replace the rules.
"""

from django.conf import settings
from django.utils.module_loading import import_string

from tasks_app.router.protocol import Router

DEFAULT_ROUTER = "tasks_app.router.rules.RuleRouter"


def current_router() -> Router:
    """Return a router of the class that the setting TASK_ROUTER names."""
    router: Router = import_string(getattr(settings, "TASK_ROUTER", DEFAULT_ROUTER))()
    return router
