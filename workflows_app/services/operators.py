"""What an operator does to runs, whoever's they are: each deed is one of the organization's own, audited in its log."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import transaction

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import bound, tenant_or_nobody
from workflows_app.contracts import RunRef
from workflows_app.models import WorkflowRun
from workflows_app.services.controls import run_cancel, run_pause, run_resume
from workflows_app.services.requeue import runs_requeue

_CONTROLS: dict[str, Callable[..., RunRef]] = {"cancel": run_cancel, "pause": run_pause, "resume": run_resume}
DEEDS = (*_CONTROLS, "requeue")


@dataclass(frozen=True)
class Done:
    """How many runs it was done to, and why not to the others: sentences, each once."""

    number: int
    refusals: tuple[str, ...] = ()


def runs_control(*, run_ids: list[UUID], deed: str) -> Done:
    """Cancel, pause, resume or requeue runs, in an operator context; what one run refuses is done to the others.

    The audit rows name the operator and the organization. Raises KeyError for another deed.
    """
    if deed == "requeue":
        return Done(runs_requeue(run_ids=run_ids))
    control = _CONTROLS[deed]
    number, refusals = 0, dict[str, None]()
    with transaction.atomic():
        found = WorkflowRun.objects.filter(pk__in=run_ids).order_by("pk").values_list("pk", "organization_id")
        for run_id, organization_id in found:
            try:
                # The operator stays named, while the deed is done within the organization.
                with bound(replace(tenant_or_nobody(), organization_id=organization_id)), transaction.atomic():
                    control(run_id=run_id)
            except DeepSpaceError as refused:
                refusals[str(refused.message)] = None
            else:
                number += 1
    return Done(number, tuple(refusals))
