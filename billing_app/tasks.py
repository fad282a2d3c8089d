"""Celery tasks: thin."""

from accounts_app.services.jobs import system_task
from billing_app.services import budget_notices
from billing_app.services.holds import holds_expire
from billing_app.services.idempotency import answers_forget
from billing_app.services.reconciliation import reconcile_recent


@system_task("holds_expire")
def expire_holds() -> int:
    """Give back the holds that ran out of time; return how many."""
    return holds_expire()


@system_task("answers_forget")
def forget_answers() -> int:
    """Delete the stored answers of Idempotency-Keys that have expired; return how many."""
    return answers_forget()


@system_task("budgets_notify")
def notify_budgets() -> int:
    """Write about budgets that reached a threshold; return how many."""
    return budget_notices.budgets_notify()


@system_task("reconcile")
def reconcile() -> int:
    """Compare the books of the last days; return how many differences are open."""
    return reconcile_recent()
