"""Eval suites and their cases."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from prompts_app.exceptions import SharedPromptReadOnly
from prompts_app.models import EvalCase, EvalSuite
from prompts_app.selectors import suite_get
from prompts_app.services.assertions import assertions_clean
from prompts_app.services.content import KEY

MAX_CASES = 200


@dataclass(frozen=True)
class CaseDraft:
    """A case that is to be made; its assertions are checked before they are stored."""

    name: str
    assertions: list[dict[str, Any]]
    variables: dict[str, str] = field(default_factory=dict)


@transaction.atomic
def suite_create(
    *, key: str, name: str, cases: Sequence[CaseDraft] = (), description: str = "", workspace_key: str = ""
) -> EvalSuite:
    """Create a suite of the bound organization with its cases. Raises InvalidInput naming the field at fault."""
    if not KEY.fullmatch(key):
        rule = _("A key has at most 80 lower-case letters, digits, dots, dashes and underscores.")
        raise InvalidInput.for_field("key", rule)
    if EvalSuite.objects.filter(organization_id=current_organization_id(), key=key).exists():
        raise InvalidInput.for_field("key", _("This key is taken."))
    suite = EvalSuite.objects.create(
        organization_id=current_organization_id(),
        user_id=current_tenant().user_id,
        key=key,
        name=name,
        description=description,
        workspace_key=workspace_key,
    )
    for index, case in enumerate(cases):
        _case_add(suite, case, index + 1, f"cases[{index}].assertions")
    audit_record(action="eval_suite.create", target_type="eval_suite", target_id=suite.pk, data={"key": key})
    return suite


@transaction.atomic
def case_create(*, suite_id: UUID, case: CaseDraft) -> EvalCase:
    """Add a case at the end of an own suite. Raises NotFound, SharedPromptReadOnly, InvalidInput."""
    suite = EvalSuite.objects.select_for_update().filter(organization_id=current_organization_id(), pk=suite_id).first()
    if suite is None:
        suite_get(suite_id)
        raise SharedPromptReadOnly(_("This suite is shared with everyone and cannot be changed."))
    last = suite.cases.aggregate(last=Max("position"))["last"] or 0
    if last >= MAX_CASES:
        raise InvalidInput.for_field("cases", _("A suite has at most %(count)d cases.") % {"count": MAX_CASES})
    added = _case_add(suite, case, last + 1, "assertions")
    audit_record(action="eval_case.create", target_type="eval_suite", target_id=suite.pk, data={"name": case.name})
    return added


def _case_add(suite: EvalSuite, case: CaseDraft, position: int, field_name: str) -> EvalCase:
    return EvalCase.objects.create(
        organization_id=suite.organization_id,
        user_id=suite.user_id,
        suite=suite,
        position=position,
        name=case.name,
        variables=case.variables,
        assertions=assertions_clean(case.assertions, field_name),
    )
