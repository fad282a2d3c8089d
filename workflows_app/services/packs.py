"""Packs: workflows together with the prompts and eval suites that their steps name, as one file."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import UUID

from accounts_app.exceptions import NotFound
from prompts_app.selectors import (
    cases_of,
    prompt_by_key,
    prompt_get,
    suite_by_key,
    suite_get,
    version_get,
    version_ref,
    versions_to_take,
)
from workflows_app.contracts import Json
from workflows_app.engine.waits import CHILD
from workflows_app.models import WorkflowConfig
from workflows_app.selectors import config_get, template_published
from workflows_app.services.configs import refuse
from workflows_app.services.documents import APPLY, EVAL, PINS
from workflows_app.services.findings import schema_errors
from workflows_app.services.templates import template_document
from workflows_app.services.validation import MAX_DEPTH, MAX_FINDINGS, config_shape, document_unfit

MAX_BYTES = 2 * 1024 * 1024
MAX_TEMPLATES = 50
PARTS = ("prompts", "eval_suites", "templates")
_SCHEMA_FILE = Path(__file__).resolve().parents[1] / "schemas" / "pack.schema.json"


@cache
def pack_schema() -> Json:
    """Return the JSON Schema of packs."""
    schema: Json = json.loads(_SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def pack_export(config: WorkflowConfig, *, schema_url: str) -> Json:
    """Return a template, the workflows that it starts, and the prompts and suites of all their steps, as one pack.

    What is named by an id is named by its key there; what is not here (any more) is left out, its name kept. Raises
    ConfigInvalid for a draft that does not have the form of a workflow, and for what is too much for one file.
    """
    packing = _Packing()
    packing.add(config)
    told = {name: value for name in ("name", "version", "description") if (value := getattr(config, name))}
    pack = {"$schema": schema_url, **told, **packing.parts()}
    # Files are indented, which may double them.
    refuse_unfit(pack, max_bytes=MAX_BYTES // 2)
    return pack


def refuse_unfit(pack: Json, *, max_bytes: int = MAX_BYTES) -> None:
    """Raise ConfigInvalid with what keeps a pack from being stored, or with every place that is not of its schema."""
    unfit = document_unfit(pack, max_bytes=max_bytes, max_depth=MAX_DEPTH + 2)
    refuse((unfit,) if unfit is not None else tuple(schema_errors(pack_schema(), pack))[:MAX_FINDINGS])


class _Packing:
    """What was found on the way from step to step, by key: each goes into the pack once."""

    def __init__(self) -> None:
        self.prompts: dict[str, Json] = {}
        self.suites: dict[str, Json] = {}
        self.templates: dict[UUID, Json] = {}

    def parts(self) -> Json:
        found = (self.prompts.values(), self.suites.values(), self.templates.values())
        return {name: list(items) for name, items in zip(PARTS, found, strict=True) if items}

    def add(self, config: WorkflowConfig) -> str:
        """Take a version and all it needs; return what it is named by."""
        if config.pk not in self.templates:
            document = template_document(config)
            refuse(config_shape(document))
            self.templates[config.pk] = document
            for step in _steps_of(document):
                self._step(step)
        return f"{config.name}@{config.version}"

    def _step(self, step: Json) -> None:
        name = step.get("via") or step["action"]
        if name == APPLY and not PINS.isdisjoint(step.get("params", {})):
            _unpin(step)
        pack = {APPLY: self._prompt, CHILD: self._child, EVAL: self._suite}.get(name)
        if pack is not None and "with" in step:
            step["with"] = pack(step["with"])
        if "eval_suite_id" in step:
            step["eval_suite_id"] = self._suite(step["eval_suite_id"])

    def _prompt(self, key: str) -> str:
        with suppress(NotFound):
            prompt = prompt_by_key(key)
            self.prompts[prompt.key] = {
                "key": prompt.key,
                "name": prompt.name,
                "description": prompt.description,
                "category": prompt.category,
                "workspace": prompt.workspace_key,
                "versions": [
                    {
                        "language": version.language,
                        "messages": list(version.messages),
                        "variables": [spec.as_json() for spec in version.variables],
                        "model": version.model,
                        "parameters": version.parameters,
                        "published": version.status == "published",
                    }
                    for version in map(version_ref, versions_to_take(prompt))
                ],
            }
        return key

    def _suite(self, reference: str) -> str:
        suite_id = _id_of(reference)
        try:
            suite = suite_by_key(reference) if suite_id is None else suite_get(suite_id)
        except NotFound:
            return reference
        self.suites[suite.key] = {
            "key": suite.key,
            "name": suite.name,
            "description": suite.description,
            "workspace": suite.workspace_key,
            "cases": [
                {"name": case.name, "variables": case.variables, "assertions": case.assertions}
                for case in cases_of(suite)
            ],
        }
        return suite.key

    def _child(self, reference: str) -> str:
        child_id = _id_of(reference)
        with suppress(NotFound):
            child = template_published(reference) if child_id is None else config_get(child_id)
            named = self.add(child)
            return named if child_id is not None else reference
        return reference


def _steps_of(document: Json) -> Iterator[Json]:
    for stage in document["stages"].values():
        yield from stage["steps"]


def _unpin(step: Json) -> None:
    """Name the prompt that a step means by an id by its key."""
    params = step["params"]
    step["params"] = {key: value for key, value in params.items() if key not in PINS}
    prompt_id, version_id = (_id_of(str(params.get(pin, ""))) for pin in ("prompt_id", "version_id"))
    with suppress(NotFound):
        if prompt_id is not None:
            step["with"] = prompt_get(prompt_id).key
        elif version_id is not None:
            step["with"] = version_get(version_id).prompt.key


def _id_of(reference: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(reference)
    return None
