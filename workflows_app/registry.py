"""The step handlers, by the name that a workflow's ``via`` (or, without one, its ``action``) gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from workflows_app.contracts import Json, StepContext, StepResult, StepSpec

HandlerFunction = Callable[[StepContext], StepResult]
TemplateCheck = Callable[[str], bool]


@dataclass(frozen=True)
class Handler:
    """What runs a step. ``template_known`` says whether a ``with`` key exists; without it, none may be given.

    ``local``: see `step_handler`.
    """

    name: str
    function: HandlerFunction
    params_schema: Json
    output_schema: Json
    template_known: TemplateCheck | None = None
    template_required: bool = False
    local: bool = False

    @cached_property
    def output_validator(self) -> Validator:
        """What checks its outputs."""
        return Draft202012Validator(self.output_schema)


_handlers: dict[str, Handler] = {}

NO_PARAMS: Json = {"type": "object", "additionalProperties": False}


def step_handler(
    via: str,
    *,
    params_schema: Json = NO_PARAMS,
    output_schema: Json,
    template_known: TemplateCheck | None = None,
    template_required: bool = False,
    local: bool = False,
) -> Callable[[HandlerFunction], HandlerFunction]:
    """Register a function as the handler ``via``. Both schemas are JSON Schema; outputs are checked as they come.

    ``local`` promises that a step takes milliseconds, says nothing while it is done, and leaves nothing behind but its
    result, so that it may be done again: it is not written by itself, but together with the local steps beside it.

    Raises ValueError when the name is taken: two handlers of one name would make runs depend on import order.
    """

    def register(function: HandlerFunction) -> HandlerFunction:
        if via in _handlers:
            raise ValueError(f"The step handler {via!r} is registered twice.")
        _handlers[via] = Handler(via, function, params_schema, output_schema, template_known, template_required, local)
        return function

    return register


def handler_get(name: str) -> Handler | None:
    """Return the handler, or None when there is none of this name."""
    return _handlers.get(name)


def is_local(step: StepSpec) -> bool:
    """Whether the step may be written together with those beside it. A slot is taken where it is written: by itself."""
    handler = handler_get(step.handler)
    return handler is not None and handler.local and not step.concurrency_key


def handler_names() -> tuple[str, ...]:
    """All names, sorted: for error messages and editors."""
    return tuple(sorted(_handlers))


def handler_remove(name: str) -> None:
    """Forget a handler: the reverse of `step_handler`, for plugins and tests that come and go."""
    _handlers.pop(name, None)
