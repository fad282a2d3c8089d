"""Celery tasks: thin."""

from accounts_app.services.jobs import system_task
from billing_app.services.holds import holds_expire


@system_task("holds_expire")
def expire_holds() -> int:
    """Give back the holds that ran out of time; return how many."""
    return holds_expire()
