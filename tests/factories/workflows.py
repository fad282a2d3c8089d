"""Organizations, workflow versions of made-up steps, and runs of them."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts_app.models import Membership
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, operator_atomic, tenant_atomic
from workflows_app.contracts import Json, RunRef, StepContext, StepResult
from workflows_app.models import ConfigStatus, WorkflowConfig, WorkflowRun
from workflows_app.registry import handler_remove, step_handler
from workflows_app.services.runs import run_start
from workflows_app.services.store import machine_of, machine_write

Handler = Callable[[StepContext], StepResult]
ANYTHING: Json = {"type": "object"}


def owner(email: str = "") -> Tenant:
    """Return a new person in their personal organization."""
    with transaction.atomic():
        user = user_create(email=email or f"{uuid.uuid4().hex}@example.com", password="correct horse battery")
    with operator_atomic("factory"):
        membership = Membership.objects.get(user=user)
    return Tenant(organization_id=membership.organization_id, user_id=user.pk, role=membership.role)


@contextmanager
def acting(tenant: Tenant) -> Iterator[None]:
    """Bind the person and open a transaction."""
    assert tenant.organization_id is not None
    with tenant_atomic(tenant.organization_id, tenant.user_id, tenant.role):
        yield


@contextmanager
def handlers(**functions: Handler) -> Iterator[None]:
    """Register handlers for the block: the steps of `made_up_config` name them as their actions."""
    with _registered(functions, local=False):
        yield


@contextmanager
def local_handlers(**functions: Handler) -> Iterator[None]:
    """The same for handlers that leave nothing behind but their result."""
    with _registered(functions, local=True):
        yield


@contextmanager
def _registered(functions: Mapping[str, Handler], *, local: bool) -> Iterator[None]:
    for name, function in functions.items():
        step_handler(name, params_schema=ANYTHING, output_schema=ANYTHING, local=local)(function)
    try:
        yield
    finally:
        for name in functions:
            handler_remove(name)


def document(steps: Sequence[Json], **fields: Any) -> Json:
    """Return a workflow of one stage A with ``steps``."""
    stages = {"A": {"name": "A", "steps": list(steps)}}
    return {"workspace": "general", "version": "1.0.0", "stages": stages, "defaults": {"start": "A"}} | fields


def made_up_config(tenant: Tenant, *steps: Json | str, version: str = "", **sections: Json) -> WorkflowConfig:
    """Return a published version of the organization's own, without validation: its handlers may come later."""
    whole = [{"action": step} if isinstance(step, str) else step for step in steps]
    with acting(tenant):
        return WorkflowConfig.objects.create(
            organization_id=tenant.organization_id,
            workspace_id="general",
            version=version or f"1.0.{uuid.uuid4().int % 1_000_000}",
            name="made up",
            status=ConfigStatus.PUBLISHED,
            published_at=timezone.now(),
            config=document(whole) | sections,
        )


def started(
    tenant: Tenant, *steps: Json | str, context: Json | None = None, limits: Json | None = None, **fields: Any
) -> RunRef:
    """Return a new run of the made-up steps."""
    config = made_up_config(tenant, *steps, limits=limits or {})
    with acting(tenant):
        return run_start(
            config_id=config.id,
            workspace_key="general",
            stage="A",
            context=context or {},
            key=fields.pop("key", uuid.uuid4().hex),
            **fields,
        )


def run_id_of(tenant: Tenant, *steps: Json | str, **fields: Any) -> UUID:
    """Return the id of a new run of the made-up steps."""
    return started(tenant, *steps, **fields).id


def run_ended(run_id: UUID, status: str, *, error: Json | None = None, context: Json | None = None) -> None:
    """End a run as its worker would, with more in its context; in a bound tenant."""
    run = WorkflowRun.objects.get(pk=run_id)
    machine = machine_of(run)
    machine.emit("stage.gathered", set=context or {})
    failure: Json = {"error": error} if error else {}
    machine.emit(f"run.{status}", stage=run.stage, cost_usd="0", **failure)
    machine_write(run, machine, lease=0)
