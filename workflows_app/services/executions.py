"""Executions as programs ask for them: under an idempotency key, about one's own things, while the queue has room."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, NotFound
from accounts_app.tenancy.context import current_organization_id
from gateway_app.services.streams import stream_open
from workflows_app.contracts import Json, RunRef
from workflows_app.exceptions import RunStateConflict
from workflows_app.models import RunStatus, WorkflowConfig, WorkflowRun
from workflows_app.selectors import run_detail, run_get
from workflows_app.services.backpressure import queue_admit
from workflows_app.services.controls import run_cancel, run_retry
from workflows_app.services.replays import run_replay
from workflows_app.services.runs import execution_fingerprint, execution_start, template_id
from workflows_app.services.subjects import replay_begin, retry_begin, subjects_named


@dataclass(frozen=True)
class ExecutionRequest:
    """What is to be run: ``template`` is a name, name@version or an id; ``input`` becomes the run's context.

    ``subject_id`` is the task that it is about; ``priority`` is -100 to 100; ``stream``: open a live stream for it.
    """

    template: str
    input: Json = field(default_factory=dict)
    subject_id: UUID | None = None
    priority: int = 0
    stream: bool = False


@transaction.atomic
def execution_request(*, request: ExecutionRequest, key: str = "") -> tuple[RunRef, bool]:
    """Start a run, once for each ``key``; the same request under the same key returns the run that it started.

    Returns the run, and whether it was there before. Raises NotFound (template, task), Conflict (the key was used for
    another request), RunActive (the task has an unfinished run), QueueFull.
    """
    whole_key = _whole_key(key)
    existing = _by_key(whole_key) if key else None
    if existing is not None:
        return _same_request(existing, request), True
    queue_admit()
    if request.subject_id is not None and not subjects_named([request.subject_id]):
        raise NotFound
    before = transaction.savepoint()
    stream_id = _stream(request.subject_id) if request.stream else None
    run = execution_start(
        template=request.template,
        context=request.input,
        key=whole_key,
        subject_id=request.subject_id,
        stream_id=stream_id,
        priority=request.priority,
    )
    is_again = run.stream_id != stream_id
    if is_again:
        # Somebody with the same key was faster: the stream that was opened here is nobody's.
        transaction.savepoint_rollback(before)
    else:
        transaction.savepoint_commit(before)
    return run, is_again


@transaction.atomic
def execution_cancel(*, run_id: UUID) -> RunRef:
    """Ask for a run's end; again changes nothing. Raises NotFound, RunStateConflict when it ended in another way."""
    run = run_cancel(run_id=run_id)
    if run.status in {RunStatus.COMPLETED, RunStatus.FAILED}:
        raise RunStateConflict(_("The run has ended."))
    return run


@transaction.atomic
def execution_retry(*, run_id: UUID, stream: bool = False) -> RunRef:
    """Go on with a failed run at the step that failed, with a live stream of its own if wanted.

    Raises NotFound, RunStateConflict, RunActive, QueueFull.
    """
    is_about_something = run_get(run_id).subject_id is not None
    queue_admit()
    # Whoever looks at the thing that a run is about follows its stream.
    return retry_begin(run_id=run_id) if stream or is_about_something else run_retry(run_id=run_id)


@transaction.atomic
def execution_replay(
    *, run_id: UUID, seq: int, key: str = "", template: str = "", params: Json | None = None, stream: bool = False
) -> tuple[RunRef, bool]:
    """Start a run that shares the history of ``run_id`` up to its event ``seq``, once for each ``key``.

    ``template`` goes on with another version; ``params`` override the run's. Returns the run, and whether it was there
    before. Raises NotFound, InvalidInput, Conflict, RunStateConflict, RunActive, QueueFull.
    """
    is_about_something = run_get(run_id).subject_id is not None
    whole_key = _whole_key(key)
    existing = _by_key(whole_key) if key else None
    if existing is None:
        queue_admit()
    begin = replay_begin if (stream or is_about_something) and existing is None else run_replay
    config_id = template_id(template) if template else None
    run = begin(run_id=run_id, seq=seq, key=whole_key, config_id=config_id, params=params)
    return run, existing is not None


def _whole_key(key: str) -> str:
    # Tasks and parents name their runs too; a program's keys are apart from theirs.
    return f"api:{key or uuid4()}"


def _by_key(key: str) -> WorkflowRun | None:
    own = WorkflowRun.objects.filter(organization_id=current_organization_id(), idempotency_key=key)
    return own.select_related("config").defer("config__config").first()


def _same_request(run: WorkflowRun, request: ExecutionRequest) -> RunRef:
    """The run, if the request is the one that started it. What its template's name means may have changed since."""
    same = execution_fingerprint(run.config_id, request.input, request.subject_id, request.priority)
    if run.fingerprint != same or not _means(request.template, run.config):
        raise _key_used()
    return run_detail(run).ref


def _means(reference: str, config: WorkflowConfig) -> bool:
    try:
        return UUID(reference) == config.pk
    except ValueError:
        return reference in {config.name, f"{config.name}@{config.version}"}


def _key_used() -> Exception:
    return Conflict(_("This idempotency key was used for another run."))


def _stream(subject_id: UUID | None) -> UUID:
    return stream_open(kind="run", subject_id=subject_id or uuid4())
