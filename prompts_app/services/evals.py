"""Evals: a suite's cases held against a text, or against what a prompt version writes for each of them."""

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError, InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, current_tenant
from prompts_app.contracts import AssertionResult, CaseResult, EvalOutcome, RunOptions, VersionRef
from prompts_app.exceptions import RunStopped
from prompts_app.models import CaseOutcome, EvalCase, EvalCaseResult, EvalRun, EvalSuite, EvalTarget
from prompts_app.selectors import cases_of, eval_runs, suite_by_key, suite_get, version_get, version_ref
from prompts_app.services.assertions import assertion_check
from prompts_app.services.rewrites import MAX_TEXT_CHARS
from prompts_app.services.runs import prompt_apply


@dataclass(frozen=True)
class _Judged:
    """A case's result with what it took."""

    result: CaseResult
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


def eval_run(
    *,
    options: RunOptions,
    suite_id: UUID | None = None,
    suite_key: str = "",
    prompt_version_id: UUID | None = None,
    text: str | None = None,
) -> EvalOutcome:
    """Hold a suite against ``text``, or against what the version writes for each case's variables, and store the run.

    Every assertion of a case must hold. A case that could not be judged (no answer, no funds, a bad pattern) counts
    as an error and not as a failure. Needs a bound tenant and no open transaction; the same operation key again
    returns the stored run. Raises NotFound, RunStopped, and InvalidInput unless exactly one target is given.
    """
    if (text is None) is (prompt_version_id is None):
        raise InvalidInput.for_field("text", _("Give either a text or a prompt version to judge."))
    if text is not None and len(text) > MAX_TEXT_CHARS:
        raise InvalidInput.for_field("text", _("A text has at most %(count)d characters.") % {"count": MAX_TEXT_CHARS})
    with transaction.atomic():
        done = _stored(options.operation_key)
        if done is not None:
            return done
        suite = suite_get(suite_id) if suite_id is not None else suite_by_key(suite_key)
        cases = list(cases_of(suite))
        version = None if prompt_version_id is None else version_ref(version_get(prompt_version_id))
    if not cases:
        raise InvalidInput.for_field("suite_id", _("This suite has no cases."))
    judged = [
        _judge_text(case, text or "") if version is None else _judge_version(case, version, options) for case in cases
    ]
    try:
        with transaction.atomic():
            return _store(suite, version, text, judged, options)
    except IntegrityError:
        # Someone with the same operation key was faster; theirs is the answer.
        with transaction.atomic():
            stored = _stored(options.operation_key)
        if stored is None:
            raise
        return stored


def _judge_text(case: EvalCase, text: str) -> _Judged:
    results = tuple(assertion_check(item, text) for item in case.assertions)
    return _Judged(CaseResult(case.name, _outcome_of(results), results, output="", case_id=case.pk))


def _judge_version(case: EvalCase, version: VersionRef, options: RunOptions) -> _Judged:
    own = replace(options, operation_key=f"{options.operation_key}:case:{case.position}", on_delta=None)
    try:
        run = prompt_apply(version_id=version.id, variables=case.variables, options=own)
    except RunStopped:
        raise
    except DeepSpaceError as error:
        return _Judged(CaseResult(case.name, CaseOutcome.ERROR, error_code=error.code, case_id=case.pk))
    results = tuple(assertion_check(item, run.text) for item in case.assertions)
    result = CaseResult(case.name, _outcome_of(results), results, run.text, "", case.pk, run.run_id)
    return _Judged(result, run.tokens.total, run.cost_usd)


def _outcome_of(results: Iterable[AssertionResult]) -> str:
    outcomes = {result.outcome for result in results}
    if CaseOutcome.FAILED in outcomes:
        return CaseOutcome.FAILED
    return CaseOutcome.ERROR if CaseOutcome.ERROR in outcomes else CaseOutcome.PASSED


def pass_rate_of(passed: int, failed: int) -> Decimal | None:
    """Return passed ÷ (passed + failed) with four places, or None when neither happened."""
    judged = passed + failed
    return (Decimal(passed) / judged).quantize(Decimal("0.0001"), ROUND_HALF_UP) if judged else None


def _store(
    suite: EvalSuite, version: VersionRef | None, text: str | None, judged: Sequence[_Judged], options: RunOptions
) -> EvalOutcome:
    counts = Counter(item.result.outcome for item in judged)
    passed, failed = counts[CaseOutcome.PASSED], counts[CaseOutcome.FAILED]
    run = EvalRun.objects.create(
        organization_id=current_organization_id(),
        user_id=current_tenant().user_id,
        suite=suite,
        target=EvalTarget.TEXT if version is None else EvalTarget.VERSION,
        version_id=version.id if version else None,
        text_hash=hashlib.sha256(text.encode()).hexdigest() if text is not None else "",
        operation_key=options.operation_key,
        passed=passed,
        failed=failed,
        errors=counts[CaseOutcome.ERROR],
        pass_rate=pass_rate_of(passed, failed),
        total_tokens=sum(item.tokens for item in judged),
        cost_usd=sum((item.cost_usd for item in judged), Decimal(0)),
        task_id=options.task_id,
        run_id=options.run_id,
        step_key=options.step_key,
        trace_id=current_trace_id(),
    )
    _store_results(run, [item.result for item in judged])
    data = {"suite": suite.key, "passed": passed, "failed": failed, "errors": counts[CaseOutcome.ERROR]}
    audit_record(action="eval_run.create", target_type="eval_run", target_id=run.pk, data=data)
    return _outcome(run, [item.result for item in judged])


def _store_results(run: EvalRun, results: Sequence[CaseResult]) -> None:
    EvalCaseResult.objects.bulk_create(
        EvalCaseResult(
            id=uuid.uuid4(),
            organization_id=run.organization_id,
            user_id=run.user_id,
            eval_run=run,
            case_id=result.case_id,
            position=position,
            name=result.name,
            outcome=result.outcome,
            assertions=[item.as_json() for item in result.assertions],
            output=result.output,
            error_code=result.error_code,
            prompt_run_id=result.prompt_run_id,
        )
        for position, result in enumerate(results, start=1)
    )


def eval_stored(eval_run_id: UUID) -> EvalOutcome:
    """Return one of the organization's eval runs with its results; raises NotFound."""
    run = eval_runs().filter(pk=eval_run_id).first()
    if run is None:
        raise NotFound
    return _with_results(run)


def _stored(operation_key: str) -> EvalOutcome | None:
    run = eval_runs().filter(operation_key=operation_key).first()
    return None if run is None else _with_results(run)


def _with_results(run: EvalRun) -> EvalOutcome:
    return _outcome(run, [_result(row) for row in run.results.order_by("position")])


def _result(row: EvalCaseResult) -> CaseResult:
    assertions = tuple(_assertion(item) for item in row.assertions)
    return CaseResult(row.name, row.outcome, assertions, row.output, row.error_code, row.case_id, row.prompt_run_id)


def _assertion(item: dict[str, Any]) -> AssertionResult:
    return AssertionResult(item["type"], item["outcome"], item["message"], item["value"])


def _outcome(run: EvalRun, results: Sequence[CaseResult]) -> EvalOutcome:
    return EvalOutcome(
        eval_run_id=run.pk,
        passed=run.passed,
        failed=run.failed,
        errors=run.errors,
        pass_rate=run.pass_rate,
        cases=tuple(results),
        total_tokens=run.total_tokens,
        cost_usd=run.cost_usd,
    )
