"""What people and programs do to an execution."""

from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from workflows_app.api.executions import IDEMPOTENCY, checked, detail, started
from workflows_app.api.executions_bodies import ExecutionReplayInput, ExecutionRetryInput, ExecutionSignalInput
from workflows_app.api.executions_input import idempotency_key
from workflows_app.api.executions_outputs import ExecutionDetailOutput, StartedOutput
from workflows_app.api.parsers import DocumentParser
from workflows_app.reads.executions import execution_get
from workflows_app.services.controls import run_pause, run_resume, run_signal
from workflows_app.services.executions import execution_cancel, execution_replay, execution_retry


class ExecutionPauseView(APIView):
    @extend_schema(request=None, responses=ExecutionDetailOutput, operation_id="executions_pause")
    def post(self, request: Request, run_id: UUID) -> Response:
        """Let the run rest: at once where no worker has it, else after the step that it is at."""
        run_pause(run_id=run_id)
        return Response(detail(execution_get(run_id)))


class ExecutionResumeView(APIView):
    @extend_schema(request=None, responses=ExecutionDetailOutput, operation_id="executions_resume")
    def post(self, request: Request, run_id: UUID) -> Response:
        """Let a paused run go on, or withdraw the wish to pause it."""
        run_resume(run_id=run_id)
        return Response(detail(execution_get(run_id)))


class ExecutionCancelView(APIView):
    @extend_schema(request=None, responses=ExecutionDetailOutput, operation_id="executions_cancel")
    def post(self, request: Request, run_id: UUID) -> Response:
        """End the run: at once where no worker has it, else within about a second, in the middle of a step too."""
        execution_cancel(run_id=run_id)
        return Response(detail(execution_get(run_id)))


class ExecutionRetryView(APIView):
    parser_classes = [DocumentParser]

    @extend_schema(request=ExecutionRetryInput, responses=ExecutionDetailOutput, operation_id="executions_retry")
    def post(self, request: Request, run_id: UUID) -> Response:
        """Go on with a failed run at the step that failed. What was completed before is not done, nor paid, again."""
        given = checked(ExecutionRetryInput(data=request.data))
        execution_retry(run_id=run_id, stream=given["stream"])
        return Response(detail(execution_get(run_id)))


class ExecutionSignalView(APIView):
    parser_classes = [DocumentParser]

    @extend_schema(request=ExecutionSignalInput, responses=ExecutionDetailOutput, operation_id="executions_signal")
    def post(self, request: Request, run_id: UUID) -> Response:
        """Send the run a signal. One that nothing waits for yet is kept until a step asks for it."""
        given = checked(ExecutionSignalInput(data=request.data))
        run_signal(run_id=run_id, name=given["name"], data=given["data"])
        return Response(detail(execution_get(run_id)))


class ExecutionReplayView(APIView):
    parser_classes = [DocumentParser]

    @extend_schema(
        parameters=[IDEMPOTENCY],
        request=ExecutionReplayInput,
        responses={201: StartedOutput, 200: OpenApiResponse(StartedOutput, "The key's run, as it stands.")},
        operation_id="executions_replay",
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Start a new run that shares this one's history up to an event, and goes on from there."""
        given = checked(ExecutionReplayInput(data=request.data))
        return started(*execution_replay(run_id=run_id, key=idempotency_key(request), **given))
