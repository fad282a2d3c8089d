"""The steps of a workflow: what runs them, what they are given, and what a careful author would add."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _

from accounts_app.exceptions import NotFound
from gateway_app.contracts import ModelCard
from gateway_app.selectors import model_list
from prompts_app.exceptions import PromptNotPublished
from prompts_app.selectors import prompt_by_key, version_current
from workflows_app.contracts import ConfigError, Json
from workflows_app.registry import Handler, handler_get, handler_names
from workflows_app.services.documents import APPLY, EVAL, PINS
from workflows_app.services.engine_steps import ENGINE_STEPS, engine_step_findings
from workflows_app.services.findings import Path, error_at, schema_errors, warning_at
from workflows_app.services.flow_checks import expression_findings, in_circles


class StepChecks:
    """Checks of one document's steps; knows the catalogue of models and what was seen in other steps."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.stages: Json = document["stages"]
        self.limits: Json = document.get("limits", {})
        self.models: dict[str, ModelCard] | None = None
        self.seats: dict[str, tuple[int, Path]] = {}
        self.asks_models = False

    def findings(self) -> Iterator[ConfigError]:
        """All findings about steps, in the order of the document; then those about what the whole may use."""
        for key, stage in self.stages.items():
            for index, step in enumerate(stage["steps"]):
                yield from self._step(step, ("stages", key, "steps", index))
        yield from self._whole()

    def _step(self, step: Json, path: Path) -> Iterator[ConfigError]:
        named_by = "via" if "via" in step else "action"
        name = step[named_by]
        if "when" in step:
            yield from expression_findings(step["when"], "a yes or no", (*path, "when"), self.stages)
        if name in ENGINE_STEPS:
            yield from engine_step_findings(name, step, path, self.document)
        else:
            handler = handler_get(name)
            if handler is None:
                known = {"names": ", ".join(sorted({*handler_names(), *ENGINE_STEPS}))}
                yield error_at((*path, named_by), _("Nothing runs this. Known are: %(names)s.") % known)
            else:
                yield from self._handled(step, handler, path)
        yield from self._handling(step, path)
        yield from self._seat(step, path)

    def _handled(self, step: Json, handler: Handler, path: Path) -> Iterator[ConfigError]:
        yield from _template_findings(step, handler, path)
        if handler.name == APPLY and _is_unpublished(step):
            yield warning_at((*path, "with"), _("No version of this prompt is published: the step would fail."))
        yield from schema_errors(handler.params_schema, step.get("params", {}), (*path, "params"))
        asks_model = "model" in handler.params_schema.get("properties", {})
        self.asks_models = self.asks_models or asks_model
        model = step.get("params", {}).get("model")
        if asks_model and isinstance(model, str):
            yield from self._model(model, (*path, "params", "model"))
        if "fallback_model" in step:
            yield from self._fallback(step, asks_model, path)
        if asks_model:
            missing = [name for name in ("retry", "timeout") if name not in step]
            if missing:
                wanted = {"fields": ", ".join(missing)}
                yield warning_at(
                    path, _("This asks a model: say how often and how long it may try (%(fields)s).") % wanted
                )
        if "eval_suite_id" in step and not _suite_known(step["eval_suite_id"]):
            yield error_at((*path, "eval_suite_id"), _("There is no eval suite of this key or id."))

    def _fallback(self, step: Json, asks_model: bool, path: Path) -> Iterator[ConfigError]:
        place = (*path, "fallback_model")
        if not asks_model:
            yield warning_at(place, _("This step asks no model: the fallback is never used."))
        if step["fallback_model"] == step.get("params", {}).get("model"):
            yield warning_at(place, _("The fallback is the model that failed."))
        yield from self._model(step["fallback_model"], place)

    def _model(self, key: str, path: Path) -> Iterator[ConfigError]:
        if self.models is None:
            self.models = {card.key: card for card in model_list()}
        card = self.models.get(key)
        if card is None:
            yield error_at(path, _("The catalogue has no such model."))
        elif card.price is None and not card.is_local:
            yield warning_at(path, _("This model has no price in force: calls to it are refused."))
        elif not card.is_available:
            yield warning_at(path, _("This model cannot be called now: no provider of it is set up."))

    def _handling(self, step: Json, path: Path) -> Iterator[ConfigError]:
        retry = step.get("retry", {})
        if {"attempts", "max_attempts"} <= retry.keys():
            yield error_at((*path, "retry", "attempts"), _("Give attempts or max_attempts, not both."))
        on_error = step.get("on_error")
        if isinstance(on_error, dict) and on_error["goto"] not in self.stages:
            yield error_at((*path, "on_error", "goto"), _("There is no such stage."))
        timeout, longest = step.get("timeout", 0), self.limits.get("max_duration")
        if longest is not None and timeout > longest:
            yield warning_at((*path, "timeout"), _("The whole run may take less than this."))
        if timeout and step.get("heartbeat", 0) >= timeout:
            yield warning_at((*path, "heartbeat"), _("This is of use only when it is less than the timeout."))

    def _seat(self, step: Json, path: Path) -> Iterator[ConfigError]:
        key = step.get("concurrency_key")
        if key is None:
            if "concurrency" in step:
                yield error_at((*path, "concurrency"), _("This needs a “concurrency_key”."))
            return
        limit = step.get("concurrency", 1)
        first, _where = self.seats.setdefault(key, (limit, path))
        if first != limit:
            message = _("Another step with this key says %(limit)d: steps that share a key must agree.")
            yield error_at((*path, "concurrency"), message % {"limit": first})
        if (step.get("via") or step["action"]) in ENGINE_STEPS:
            yield warning_at((*path, "concurrency_key"), _("The place is held all the while that this waits."))

    def _whole(self) -> Iterator[ConfigError]:
        if self.asks_models and "max_cost" not in self.limits:
            yield warning_at(("limits", "max_cost"), _("Without this a run may cost whatever it takes."))
        if in_circles(self.stages) and not {"max_steps", "max_cost", "max_duration"} & self.limits.keys():
            yield warning_at(
                ("limits", "max_steps"), _("Stages can be come back to: say how many steps a run may make.")
            )
        start = self.stages.get(self.document["defaults"]["start"])
        if start is not None and self.limits.get("max_steps", 100_000) < len(start["steps"]):
            yield warning_at(("limits", "max_steps"), _("The first stage alone has more steps."))


def _template_findings(step: Json, handler: Handler, path: Path) -> Iterator[ConfigError]:
    if "with" not in step:
        if handler.template_required:
            yield error_at(path, _("This step needs “with”."))
    elif handler.template_known is None:
        yield error_at((*path, "with"), _("This step takes no “with”."))
    elif not handler.template_known(step["with"]):
        yield error_at((*path, "with"), _("There is no template of this key."))


def _is_unpublished(step: Json) -> bool:
    """Whether the step's prompt is there, and nothing of it that could be sent. One meant by an id is left alone."""
    if "with" not in step or not PINS.isdisjoint(step.get("params", {})):
        return False
    with suppress(NotFound):
        try:
            version_current(prompt_by_key(step["with"]), "")
        except PromptNotPublished:
            return True
    return False


def _suite_known(reference: Any) -> bool:
    handler = handler_get(EVAL)
    return handler is not None and handler.template_known is not None and handler.template_known(reference)
