"""The REST API of tasks. POST bodies and their answers are camelCase, as their specification has them."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.exceptions import InvalidInput
from tasks_app.api.bodies import (
    AdvanceDoneOutput,
    AdvanceInput,
    AdvanceOutput,
    CancelOutput,
    ReplayInput,
    TaskCreatedOutput,
    TaskInput,
)
from tasks_app.api.filters import TaskFilter
from tasks_app.api.headers import idempotency_key, preferred_wait
from tasks_app.api.params import checked_params
from tasks_app.api.serializers import TaskDetailOutput, TaskEventOutput, TaskOutput, TaskTitleInput
from tasks_app.exceptions import run_error
from tasks_app.models import Task
from tasks_app.selectors import next_steps, task_events, task_get, task_list
from tasks_app.services.advances import Advance, task_advance, task_cancel
from tasks_app.services.replays import Replay, event_point, task_replay
from tasks_app.services.tasks import task_archive, task_create, task_rename, task_unarchive
from tasks_app.services.waits import run_wait

IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key again gets the same answer."
)
PREFER = OpenApiParameter(
    "Prefer", OpenApiTypes.STR, OpenApiParameter.HEADER, description="wait=N: wait up to N seconds for the run's end."
)
TASK_FILTERS = [
    OpenApiParameter("status", OpenApiTypes.STR, enum=["active", "completed", "failed", "archived"]),
    OpenApiParameter("workspace", OpenApiTypes.STR, enum=["article", "prompt", "general", "video"]),
    OpenApiParameter("q", OpenApiTypes.STR, description="Words of the title."),
    OpenApiParameter("cursor", OpenApiTypes.STR),
    OpenApiParameter("limit", OpenApiTypes.INT),
]


class EventPagination(KeysetPagination):
    ordering = ("seq",)  # type: ignore[assignment]


class TasksView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(parameters=TASK_FILTERS, responses=TaskOutput(many=True), operation_id="tasks_list")
    def get(self, request: Request) -> Response:
        """List the organization's tasks, newest first."""
        wanted = TaskFilter(request.query_params, queryset=task_list())
        if not wanted.is_valid():
            raise ValidationError(wanted.errors)
        pages = self.pagination_class()
        page: list[Task] = pages.paginate_queryset(wanted.qs, request, view=self) or []
        return pages.get_paginated_response(TaskOutput(page, many=True, context={"next_steps": next_steps(page)}).data)

    @extend_schema(
        parameters=[IDEMPOTENCY], request=TaskInput, responses={201: TaskCreatedOutput}, operation_id="tasks_create"
    )
    def post(self, request: Request) -> Response:
        """Make a task from a sentence; it is routed to a workspace and its first stage."""
        given = TaskInput(data=request.data)
        given.is_valid(raise_exception=True)
        created = task_create(
            input_text=given.validated_data["inputText"],
            preferred_workspace=given.validated_data.get("preferredWorkspace") or "",
            idempotency_key=idempotency_key(request),
        )
        location = reverse("api-task", kwargs={"task_id": created.task_id})
        return Response(TaskCreatedOutput(created).data, status=status.HTTP_201_CREATED, headers={"Location": location})


class TaskView(APIView):
    @extend_schema(responses=TaskDetailOutput, operation_id="tasks_retrieve")
    def get(self, request: Request, task_id: UUID) -> Response:
        """One task: where it stands, what comes next, its text and its totals."""
        return Response(task_body(task_get(task_id)))

    @extend_schema(request=TaskTitleInput, responses=TaskDetailOutput, operation_id="tasks_rename")
    def patch(self, request: Request, task_id: UUID) -> Response:
        """Change the title."""
        given = TaskTitleInput(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(task_body(task_rename(task_id=task_id, title=given.validated_data["title"])))


class TaskEventsView(APIView):
    pagination_class = EventPagination

    @extend_schema(responses=TaskEventOutput(many=True), operation_id="tasks_events")
    def get(self, request: Request, task_id: UUID) -> Response:
        """The task's events, oldest first, each chained to the one before."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(task_events(task_id), request, view=self)
        return pages.get_paginated_response(TaskEventOutput(page, many=True).data)


class TaskAdvanceView(APIView):
    """Not atomic: with ``Prefer: wait=N`` it waits, holding neither a transaction nor a connection."""

    @extend_schema(
        parameters=[IDEMPOTENCY, PREFER],
        request=AdvanceInput,
        responses={202: AdvanceOutput, 200: AdvanceDoneOutput},
        operation_id="tasks_advance",
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Start a stage, or some of its steps. 202 at once; 200 when it is done, also after Prefer: wait=N."""
        given = AdvanceInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = given.validated_data
        started = task_advance(
            task_id=task_id,
            advance=Advance(stage=body["stage"], action=body["action"], params=checked_params(body["params"])),
            idempotency_key=idempotency_key(request),
        )
        answer = AdvanceOutput({**vars(started), "ok": True}).data
        if started.run_id is None:
            return Response(answer)
        seconds = preferred_wait(request)
        if seconds is None:
            return Response(answer, status=status.HTTP_202_ACCEPTED)
        outcome = run_wait(task_id=task_id, run_id=started.run_id, seconds=seconds)
        headers = {"Preference-Applied": f"wait={seconds}"}
        if outcome is None:
            return Response(answer, status=status.HTTP_202_ACCEPTED, headers=headers)
        if outcome.status != "completed":
            raise run_error(outcome.status, outcome.error)
        done = {**vars(started), "ok": True, "version_id": outcome.version_id}
        return Response(AdvanceDoneOutput(done).data, headers=headers)


class TaskCancelView(APIView):
    @extend_schema(request=None, responses={202: CancelOutput}, operation_id="tasks_cancel")
    def post(self, request: Request, task_id: UUID) -> Response:
        """Ask the running run to end. The task stays where it stood."""
        run_id = task_cancel(task_id=task_id)
        return Response(CancelOutput({"ok": True, "run_id": run_id}).data, status=status.HTTP_202_ACCEPTED)


class TaskReplayView(APIView):
    @extend_schema(
        parameters=[IDEMPOTENCY], request=ReplayInput, responses={202: AdvanceOutput}, operation_id="tasks_replay"
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Go back to an event: a new run shares the history before it, and the task goes on from there."""
        given = ReplayInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = given.validated_data
        run_id, seq = _point(task_id, body)
        started = task_replay(
            task_id=task_id,
            replay=Replay(run_id, seq, body.get("versionId"), checked_params(body["params"]) or None),
            idempotency_key=idempotency_key(request),
        )
        return Response(AdvanceOutput({**vars(started), "ok": True}).data, status=status.HTTP_202_ACCEPTED)


def _point(task_id: UUID, body: dict[str, Any]) -> tuple[UUID, int]:
    if "runId" in body:
        return body["runId"], body["seq"]
    event = task_events(task_id).filter(seq=body["eventSeq"]).first()
    if event is None:
        raise InvalidInput.for_field("eventSeq", _("The task has no such event."))
    return event_point(event)


class TaskArchiveView(APIView):
    @extend_schema(request=None, responses=TaskDetailOutput, operation_id="tasks_archive")
    def post(self, request: Request, task_id: UUID) -> Response:
        """Put the task away."""
        return Response(task_body(task_archive(task_id=task_id)))


class TaskUnarchiveView(APIView):
    @extend_schema(request=None, responses=TaskDetailOutput, operation_id="tasks_unarchive")
    def post(self, request: Request, task_id: UUID) -> Response:
        """Take an archived task back."""
        return Response(task_body(task_unarchive(task_id=task_id)))


def task_body(task: Task) -> dict[str, Any]:
    """Return the JSON of one task."""
    return dict(TaskDetailOutput(task, context={"next_steps": next_steps([task])}).data)
