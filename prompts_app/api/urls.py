from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, path

from accounts_app.middleware import non_atomic
from prompts_app.api.views import calls, evals, linter, prompts

View = Callable[..., HttpResponseBase]


def _both(route: str, view: View, name: str) -> Iterator[URLPattern]:
    """The route with and without the slash at its end: a POST cannot be redirected from one to the other."""

    @wraps(view)
    def slashless(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return view(request, **kwargs)

    # One of the two is enough for the OpenAPI document, which looks for the class.
    vars(slashless).pop("cls", None)
    yield path(f"{route}/", view, name=name)
    yield path(route, slashless, name=f"{name}-slashless")


PROMPT = "prompts/<uuid:prompt_id>"
VERSION = f"{PROMPT}/versions/<uuid:version_id>"
SUITE = "eval/suites/<uuid:suite_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    *_both("prompts", prompts.PromptsView.as_view(), "api-prompts"),
    *_both(PROMPT, prompts.PromptView.as_view(), "api-prompt"),
    *_both(f"{PROMPT}/copy", prompts.PromptCopyView.as_view(), "api-prompt-copy"),
    *_both(f"{PROMPT}/versions", prompts.VersionsView.as_view(), "api-prompt-versions"),
    *_both(VERSION, prompts.VersionView.as_view(), "api-prompt-version"),
    *_both(f"{VERSION}/publish", prompts.VersionPublishView.as_view(), "api-prompt-version-publish"),
    *_both(f"{PROMPT}/runs", prompts.RunsView.as_view(), "api-prompt-runs"),
    *_both(f"{PROMPT}/apply", non_atomic(calls.ApplyView.as_view()), "api-prompt-apply"),
    *_both(f"{PROMPT}/bootstrap/rewrite", non_atomic(calls.RewriteView.as_view()), "api-prompt-rewrite"),
    *_both("linter", linter.LinterView.as_view(), "api-linter"),
    *_both("eval/suites", evals.SuitesView.as_view(), "api-eval-suites"),
    *_both(SUITE, evals.SuiteView.as_view(), "api-eval-suite"),
    *_both(f"{SUITE}/cases", evals.CasesView.as_view(), "api-eval-cases"),
    *_both("eval/run", non_atomic(evals.EvalRunView.as_view()), "api-eval-run"),
    *_both("eval/runs", evals.EvalRunsView.as_view(), "api-eval-runs"),
    *_both("eval/runs/<uuid:eval_run_id>", evals.EvalRunDetailView.as_view(), "api-eval-run-detail"),
]
