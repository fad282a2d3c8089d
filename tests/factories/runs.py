"""Runs that have gone some way, for pages and replays: people's, of made-up steps, done by the test itself."""

import uuid
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound
from tests.factories.accounts import Person
from tests.factories.workflows import acting, document
from workflows_app.contracts import Json, RunDetail, StepContext, StepResult
from workflows_app.exceptions import StepFailed
from workflows_app.models import ConfigStatus, WorkflowConfig
from workflows_app.selectors import run_get
from workflows_app.services.execution import run_advance
from workflows_app.services.runs import execution_start


def tenant_of(person: Person) -> Tenant:
    """Return whom the person acts for."""
    return Tenant(organization_id=person.organization_id, user_id=person.id, role=person.role)


def written(ctx: StepContext) -> StepResult:
    """A step that writes a text and says what it cost."""
    output = {"model": "m-1", "tokens": 12, "cost_usd": "0.02", "pass_rate": "0.75"}
    return StepResult(output=output, set={ctx.step_key: f"{ctx.step_key} by attempt {ctx.attempt}"})


def refused(ctx: StepContext) -> StepResult:
    """A step that never succeeds."""
    raise StepFailed("There is nothing to work on.")


def workflow(person: Person, *steps: Json | str, version: str = "1.0.0", **fields: Any) -> WorkflowConfig:
    """Return a published workflow of the steps, named by a word that no other has."""
    whole = [{"action": step} if isinstance(step, str) else step for step in steps]
    name = fields.pop("name", f"wf-{uuid.uuid4().hex[:8]}")
    with acting(tenant_of(person)):
        return WorkflowConfig.objects.create(
            organization_id=person.organization_id,
            workspace_id="general",
            version=f"{version}-{uuid.uuid4().hex[:6]}",
            name=name,
            status=ConfigStatus.PUBLISHED,
            published_at=timezone.now(),
            config=document(whole, **fields),
        )


def run_of(person: Person, *steps: Json | str, context: Json | None = None, **fields: Any) -> UUID:
    """Return the id of a run of the steps that no worker has taken up."""
    config = workflow(person, *steps)
    with acting(tenant_of(person)):
        started = execution_start(template=str(config.id), context=context or {}, key=uuid.uuid4().hex, **fields)
    return started.id


def advanced(person: Person, run_id: UUID) -> RunDetail:
    """Do what a worker would do for the run just now; return how it stands then."""
    tenant = tenant_of(person)
    with bound(tenant):
        run_advance(run_id=run_id)
    with acting(tenant):
        return run_get(run_id)
