"""Trying a version out and rewriting it. Not atomic: no transaction is open while the model writes."""

import hashlib
import json
import uuid
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError
from accounts_app.web.mixins import OrganizationMixin
from prompts_app.contracts import PromptRunOutcome, RunOptions
from prompts_app.models import Prompt, PromptVersion
from prompts_app.selectors import prompt_get, run_get, runs_of, version_get, version_of
from prompts_app.services.rewrites import prompt_rewrite
from prompts_app.services.runs import prompt_apply
from prompts_app.web.detail import RUNS_SHOWN, detail_context, try_form
from prompts_app.web.forms import RewriteForm, TryForm
from prompts_app.web.views import chosen_uuid, tell, to_version


class TryView(OrganizationMixin):
    """Run a version with the values typed in. htmx gets the output's part of the page, other browsers the page."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, prompt_id: UUID, version_id: UUID) -> HttpResponse:
        with transaction.atomic():
            prompt = prompt_get(prompt_id)
            version = version_of(prompt, version_id)
        form = try_form(version, request.POST)
        if not form.is_valid():
            return self._again(prompt, version, form, status=400)
        try:
            outcome = self._run(version, form.values())
        except DeepSpaceError as error:
            tell(request, error)
            return self._again(prompt, version, form, status=error.status)
        return self._done(version, outcome)

    def _run(self, version: PromptVersion, values: dict[str, str]) -> PromptRunOutcome:
        # A form sent twice is one run; the same form with other values is another.
        operation = chosen_uuid(self.request.POST.get("operation", "")) or uuid.uuid4()
        digest = hashlib.sha256(json.dumps([str(version.pk), values]).encode()).hexdigest()[:16]
        options = RunOptions(operation_key=f"page:{operation.hex}:{digest}")
        return prompt_apply(version_id=version.pk, variables=values, options=options)

    def _done(self, version: PromptVersion, outcome: PromptRunOutcome) -> HttpResponse:
        if not self.request.htmx:  # type: ignore[attr-defined]
            response = to_version(version)
            response["Location"] += f"&run={outcome.run_id}#output"
            return response
        with transaction.atomic():
            runs = list(runs_of(version.prompt)[:RUNS_SHOWN])
            context = {"run": run_get(outcome.run_id), "runs": runs, "operation": uuid.uuid4().hex}
            response = render(self.request, "prompts_app/_run.html", context)
        response["HX-Trigger"] = "wallet-changed"
        return response

    def _again(self, prompt: Prompt, version: PromptVersion, form: TryForm, *, status: int) -> HttpResponse:
        if self.request.htmx:  # type: ignore[attr-defined]
            # htmx only shows answers that say 200.
            return render(self.request, "prompts_app/_run.html", {"form": form, "operation": uuid.uuid4().hex})
        with transaction.atomic():
            context = detail_context(prompt, version_id=version.pk, form=form)
            return render(self.request, "prompts_app/detail.html", {**context, "may_write": True}, status=status)


class RewriteView(OrganizationMixin):
    """Let the model rewrite a version by the linter's findings and an instruction into a new draft."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, prompt_id: UUID, version_id: UUID) -> HttpResponse:
        with transaction.atomic():
            version = version_of(prompt_get(prompt_id), version_id)
        form = RewriteForm(request.POST)
        if not form.is_valid():
            messages.error(request, " ".join(str(problem) for problem in form.errors["instruction"]))
            return to_version(version)
        operation = chosen_uuid(request.POST.get("operation", "")) or uuid.uuid4()
        try:
            outcome = prompt_rewrite(
                prompt_id=prompt_id,
                version_id=version_id,
                instruction=form.cleaned_data["instruction"],
                options=RunOptions(operation_key=f"page-rewrite:{operation.hex}"),
            )
        except DeepSpaceError as error:
            tell(request, error)
            return to_version(version)
        with transaction.atomic():
            draft = version_get(outcome.version_id)
        messages.success(request, _("Version %(number)d is the rewrite, as a draft.") % {"number": draft.number})
        response = redirect("prompts:compare", prompt_id)
        response["Location"] += f"?old={version_id}&new={draft.pk}"
        return response
