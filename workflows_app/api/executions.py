"""The REST API of executions: start, list, look at."""

from datetime import datetime, timedelta
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
from workflows_app.api.executions_bodies import ExecutionQuery, HistoryQuery, StartInput, StatisticsQuery
from workflows_app.api.executions_figures import StatisticsOutput
from workflows_app.api.executions_input import idempotency_key
from workflows_app.api.executions_outputs import (
    AttemptOutput,
    EventOutput,
    ExecutionDetailOutput,
    ExecutionOutput,
    HistoryOutput,
    StartedOutput,
)
from workflows_app.api.parsers import DocumentParser
from workflows_app.contracts import Json, RunRef
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.reads.execution_statistics import execution_statistics
from workflows_app.reads.executions import (
    ExecutionFilter,
    attempt_under_way,
    attempts_counted,
    execution_attempts,
    execution_children,
    execution_get,
    execution_list,
    templates_meant,
)
from workflows_app.selectors import run_events, run_get
from workflows_app.services.executions import ExecutionRequest, execution_request

IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key again gets the same run."
)
PAGE = [OpenApiParameter("cursor", OpenApiTypes.STR), OpenApiParameter("limit", OpenApiTypes.INT)]
USUAL_SPAN, LONGEST_SPAN = timedelta(days=7), timedelta(days=92)


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
        return pages.get_paginated_response(ExecutionOutput(page, many=True).data)

    @extend_schema(
        parameters=[IDEMPOTENCY],
        request=StartInput,
        responses={201: StartedOutput, 200: OpenApiResponse(StartedOutput, "The key's run, as it stands.")},
        operation_id="executions_start",
    )
    def post(self, request: Request) -> Response:
        """Start a workflow. The same Idempotency-Key and body again answer with the run that they started."""
        given = checked(StartInput(data=request.data))
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
        """The events of an execution, oldest first: all that its state follows from."""
        asked = checked(HistoryQuery(data=request.query_params))
        run_get(run_id)
        events = run_events(run_id, after=asked["after"], limit=asked["limit"] + 1)
        page = events[: asked["limit"]]
        following = f"?after={page[-1].seq}&limit={asked['limit']}" if len(events) > len(page) else None
        address = request.build_absolute_uri(request.path)
        body = {"next": address + following if following else None, "results": EventOutput(page, many=True).data}
        return Response(body)


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
        return pages.get_paginated_response(AttemptOutput(page, many=True).data)


class ExecutionChildrenView(APIView):
    pagination_class = ChildrenPagination

    @extend_schema(parameters=PAGE, responses=ExecutionOutput(many=True), operation_id="executions_children")
    def get(self, request: Request, run_id: UUID) -> Response:
        """The branches and child workflows of an execution, oldest first."""
        run_get(run_id)
        pages: Any = self.pagination_class()
        page = pages.paginate_queryset(execution_children(run_id), request, view=self)
        return pages.get_paginated_response(ExecutionOutput(page, many=True).data)


class ExecutionStatisticsView(APIView):
    @extend_schema(parameters=[StatisticsQuery], responses=StatisticsOutput, operation_id="executions_statistics")
    def get(self, request: Request) -> Response:
        """How the executions of a span of time went: counts, success, durations and cost, by day and template."""
        asked = checked(StatisticsQuery(data=request.query_params))
        until: datetime = asked.get("until") or timezone.now()
        since: datetime = asked.get("since") or until - USUAL_SPAN
        if not since < until <= since + LONGEST_SPAN:
            message = _("Give a moment before “until”, at most %(days)d days.") % {"days": LONGEST_SPAN.days}
            raise InvalidInput.for_field("since", message)
        templates = templates_meant(asked["template"]) if "template" in asked else None
        return Response(StatisticsOutput(execution_statistics(since=since, until=until, configs=templates)).data)


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
