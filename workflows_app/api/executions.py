"""The REST API of executions: start, list, look at."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.exceptions import InvalidInput
from accounts_app.tenancy.context import current_organization_id
from workflows_app.api.executions_bodies import (
    ExecutionQuery,
    ExecutionStartInput,
    HistoryQuery,
    LogsQuery,
    StatisticsQuery,
)
from workflows_app.api.executions_figures import StatisticsOutput
from workflows_app.api.executions_input import idempotency_key
from workflows_app.api.executions_outputs import (
    AttemptOutput,
    EventOutput,
    ExecutionDetailOutput,
    ExecutionOutput,
    HistoryOutput,
    LogLineOutput,
    LogsOutput,
    StartedOutput,
)
from workflows_app.api.parsers import DocumentParser
from workflows_app.contracts import Json, RunRef
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.reads.executions import (
    ExecutionFilter,
    attempt_under_way,
    attempts_counted,
    execution_attempts,
    execution_children,
    execution_get,
    execution_list,
)
from workflows_app.reads.history import run_history
from workflows_app.reads.logs import run_logs
from workflows_app.reads.statistics import executions_statistics
from workflows_app.selectors import run_get
from workflows_app.services.executions import ExecutionRequest, execution_request

IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key again gets the same run."
)
PAGE = [OpenApiParameter("cursor", OpenApiTypes.STR), OpenApiParameter("limit", OpenApiTypes.INT)]
USUAL_DAYS, MOST_DAYS = 7, 92


class ChildrenPagination(KeysetPagination):
    ordering = ("created_at", "id")


class AttemptsPagination(KeysetPagination):
    ordering = ("started_at", "id")


class ExecutionsView(APIView):
    pagination_class = KeysetPagination
    parser_classes = [DocumentParser]

    @extend_schema(
        parameters=[ExecutionQuery, *PAGE], responses=ExecutionOutput(many=True), operation_id="executions_list"
    )
    def get(self, request: Request) -> Response:
        """List the organization's executions, newest first."""
        asked = checked(ExecutionQuery(data=request.query_params))
        statuses = tuple(asked.pop("status", ()))
        pages: Any = self.pagination_class()
        page = pages.paginate_queryset(execution_list(ExecutionFilter(statuses=statuses, **asked)), request, view=self)
        answer: Response = pages.get_paginated_response(ExecutionOutput(page, many=True).data)
        return answer

    @extend_schema(
        parameters=[IDEMPOTENCY],
        request=ExecutionStartInput,
        responses={201: StartedOutput, 200: OpenApiResponse(StartedOutput, "The key's run, as it stands.")},
        operation_id="executions_start",
    )
    def post(self, request: Request) -> Response:
        """Start a workflow. The same Idempotency-Key and body again answer with the run that they started."""
        given = checked(ExecutionStartInput(data=request.data))
        subject_id = given.pop("task")
        wanted = ExecutionRequest(subject_id=subject_id, **given)
        return started(*execution_request(request=wanted, key=idempotency_key(request)))


class ExecutionView(APIView):
    @extend_schema(responses=ExecutionDetailOutput, operation_id="executions_retrieve")
    def get(self, request: Request, run_id: UUID) -> Response:
        """One execution: where it stands, what it waits for, what it has gathered and cost."""
        return Response(detail(execution_get(run_id)))


class ExecutionHistoryView(APIView):
    @extend_schema(parameters=[HistoryQuery], responses=HistoryOutput, operation_id="executions_history")
    def get(self, request: Request, run_id: UUID) -> Response:
        """The events of an execution, oldest first: all that its state follows from, archived ones too."""
        asked = checked(HistoryQuery(data=request.query_params))
        events = run_history(run_id, after=asked["after"], limit=asked["limit"] + 1)
        page = events[: asked["limit"]]
        following = _following(request, page[-1].seq) if len(events) > len(page) else None
        return Response({"next": following, "results": EventOutput(page, many=True).data})


class ExecutionLogsView(APIView):
    @extend_schema(parameters=[LogsQuery], responses=LogsOutput, operation_id="executions_logs")
    def get(self, request: Request, run_id: UUID) -> Response:
        """What the steps of an execution wrote while they were done, oldest first."""
        asked = checked(LogsQuery(data=request.query_params))
        lines = run_logs(run_id, **asked)
        following = _following(request, lines[-1].seq) if len(lines) == asked["limit"] else None
        return Response({"next": following, "results": LogLineOutput(lines, many=True).data})


class ExecutionStepsView(APIView):
    pagination_class = AttemptsPagination

    @extend_schema(parameters=PAGE, responses=AttemptOutput(many=True), operation_id="executions_steps")
    def get(self, request: Request, run_id: UUID) -> Response:
        """Every attempt at every step, in the order of their beginning; the one under way comes last."""
        under_way = attempt_under_way(execution_get(run_id))
        pages: Any = self.pagination_class()
        page: list[StepRun | Json] = pages.paginate_queryset(execution_attempts(run_id), request, view=self)
        if under_way and pages.get_next_link() is None:
            page = [*page, under_way]
        answer: Response = pages.get_paginated_response(AttemptOutput(page, many=True).data)
        return answer


class ExecutionChildrenView(APIView):
    pagination_class = ChildrenPagination

    @extend_schema(parameters=PAGE, responses=ExecutionOutput(many=True), operation_id="executions_children")
    def get(self, request: Request, run_id: UUID) -> Response:
        """The branches and child workflows of an execution, oldest first."""
        run_get(run_id)
        pages: Any = self.pagination_class()
        page = pages.paginate_queryset(execution_children(run_id), request, view=self)
        answer: Response = pages.get_paginated_response(ExecutionOutput(page, many=True).data)
        return answer


class ExecutionStatisticsView(APIView):
    @extend_schema(parameters=[StatisticsQuery], responses=StatisticsOutput, operation_id="executions_statistics")
    def get(self, request: Request) -> Response:
        """How the executions of a span of time went: counts, success, durations and cost, by day and template."""
        asked = checked(StatisticsQuery(data=request.query_params))
        until: date = asked.get("until") or timezone.now().date()
        since: date = asked.get("since") or until - timedelta(days=USUAL_DAYS - 1)
        if not since <= until < since + timedelta(days=MOST_DAYS):
            message = _("Give a day that is not after “until”, for at most %(days)d days.") % {"days": MOST_DAYS}
            raise InvalidInput.for_field("since", message)
        figures = executions_statistics(
            organization_id=current_organization_id(), since=since, until=until, template=asked.get("template", "")
        )
        return Response(StatisticsOutput(figures).data)


def checked(serializer: Serializer[Any]) -> dict[str, Any]:
    """Return what a body or a query says. Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


def detail(run: WorkflowRun) -> dict[str, Any]:
    """Return the JSON of one run."""
    return dict(ExecutionDetailOutput(run, context={"attempts": attempts_counted(run.id)}).data)


def started(run: RunRef, is_again: bool) -> Response:
    """Answer with a run that was started just now, or before by the same request."""
    headers = {"Location": reverse("execution", kwargs={"run_id": run.id})}
    if is_again:
        headers["Idempotent-Replayed"] = "true"
    code = status.HTTP_200_OK if is_again else status.HTTP_201_CREATED
    return Response(StartedOutput(run).data, status=code, headers=headers)


def _following(request: Request, seq: int) -> str:
    """The same address after another number."""
    query = request.query_params.copy()
    query["after"] = str(seq)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
