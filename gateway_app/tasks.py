"""Celery tasks: thin."""

from accounts_app.services.jobs import system_task
from gateway_app.services.operations import operations_forget
from gateway_app.services.recovery import calls_sweep


@system_task("calls_sweep")
def sweep_calls() -> int:
    """Settle the calls of killed workers; return how many."""
    return calls_sweep()


@system_task("operations_forget")
def forget_operations() -> int:
    """Forget old operation keys and their answers; return how many."""
    return operations_forget()
