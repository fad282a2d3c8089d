"""``eval/run``: hold the text against an eval suite."""

from contextlib import suppress
from decimal import Decimal
from uuid import UUID

from accounts_app.exceptions import NotFound
from prompts_app.selectors import suite_by_key, suite_get
from prompts_app.services.evals import eval_run
from workflows_app.contracts import Json, StepContext, StepResult
from workflows_app.handlers import schemas
from workflows_app.handlers.inputs import options_of, required_text
from workflows_app.registry import step_handler
from workflows_app.services.documents import EVAL


def suite_known(reference: str) -> bool:
    """Whether the tenant has, or shares, an eval suite of this key or id."""
    suite_id = _suite_id(reference)
    try:
        suite_by_key(reference) if suite_id is None else suite_get(suite_id)
    except NotFound:
        return False
    return True


@step_handler(
    EVAL,
    params_schema=schemas.params(**schemas.MODEL_PARAMS),
    output_schema=schemas.output(
        ["eval_run_id", "suite", "passed", "failed", "errors", "pass_rate"],
        eval_run_id=schemas.UUID_TEXT,
        suite={"type": "string"},
        passed={"type": "integer"},
        failed={"type": "integer"},
        errors={"type": "integer"},
        pass_rate={"type": ["string", "null"]},
        cases={"type": "array", "items": {"type": "object"}},
        **schemas.CALL,
    ),
    template_known=suite_known,
)
def evaluate(ctx: StepContext) -> StepResult:
    """Run the suite named by ``with``, or the workspace's own, and keep the pass rate."""
    suite = ctx.template or f"{ctx.workspace_key}_basics"
    outcome = eval_run(suite_id=_suite_id(suite), suite_key=suite, text=required_text(ctx), options=options_of(ctx))
    rate = None if outcome.pass_rate is None else str(outcome.pass_rate)
    for case in outcome.cases:
        if case.outcome != "passed":
            ctx.log(f"{case.name}: {case.outcome}", level="warning", suite=suite)
    output: Json = {
        "eval_run_id": str(outcome.eval_run_id),
        "suite": suite,
        "passed": outcome.passed,
        "failed": outcome.failed,
        "errors": outcome.errors,
        "pass_rate": rate,
        "cases": [{"name": case.name, "outcome": case.outcome} for case in outcome.cases],
    }
    if outcome.cost_usd > Decimal(0):
        output |= {"tokens": outcome.total_tokens, "cost_usd": str(outcome.cost_usd)}
    return StepResult(output=output, set={"pass_rate": rate})


def _suite_id(reference: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(reference)
    return None
