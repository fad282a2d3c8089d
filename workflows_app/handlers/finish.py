"""``finish``: the work is done."""

from workflows_app.contracts import StepContext, StepResult
from workflows_app.handlers import schemas
from workflows_app.handlers.inputs import required_text
from workflows_app.registry import step_handler


@step_handler(
    "finish",
    output_schema=schemas.output(["characters"], characters={"type": "integer", "minimum": 1}),
    local=True,
)
def finish(ctx: StepContext) -> StepResult:
    """Make sure that there is something to finish with."""
    return StepResult(output={"characters": len(required_text(ctx))})
