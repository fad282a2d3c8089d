from prompts_app.models.base import RunStatus
from prompts_app.models.evaluation import CaseOutcome, EvalCase, EvalCaseResult, EvalRun, EvalSuite, EvalTarget
from prompts_app.models.prompt import Language, Prompt, PromptCategory, PromptVersion, VersionStatus
from prompts_app.models.run import PromptBootstrapRun, PromptRun, RewriteTarget

__all__ = [
    "CaseOutcome",
    "EvalCase",
    "EvalCaseResult",
    "EvalRun",
    "EvalSuite",
    "EvalTarget",
    "Language",
    "Prompt",
    "PromptBootstrapRun",
    "PromptCategory",
    "PromptRun",
    "PromptVersion",
    "RewriteTarget",
    "RunStatus",
    "VersionStatus",
]
