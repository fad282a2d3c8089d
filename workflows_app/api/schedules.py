"""The REST API of schedules: workflows that start by the clock."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from workflows_app.api.executions import IDEMPOTENCY, PAGE, checked, started
from workflows_app.api.executions_bodies import ObjectField, TextField
from workflows_app.api.executions_input import idempotency_key
from workflows_app.api.executions_outputs import StartedOutput
from workflows_app.api.parsers import DocumentParser
from workflows_app.models import Misfire, WorkflowSchedule
from workflows_app.models.schedule import MOST_AT_ONCE
from workflows_app.reads.schedules import PREVIEWED, schedule_get, schedule_list, upcoming
from workflows_app.services.schedules import (
    ScheduleFields,
    schedule_change,
    schedule_create,
    schedule_pause,
    schedule_remove,
    schedule_resume,
    schedule_start_now,
)

_EXPRESSION = "Five fields: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, …"


class TimesInput(serializers.Serializer[Any]):
    cron = TextField(max_length=200, help_text=_EXPRESSION)
    timezone = TextField(max_length=64, required=False, default="UTC", help_text="Such as Europe/Berlin.")


class PreviewInput(TimesInput):
    count = serializers.IntegerField(required=False, default=PREVIEWED, min_value=1, max_value=50)


class PreviewOutput(serializers.Serializer[Any]):
    next_runs = serializers.ListField(child=serializers.CharField(help_text="With the time zone's offset."))


class ScheduleFieldsInput(TimesInput):
    name = TextField(max_length=120)
    template = TextField(max_length=200, help_text="A template's name (its newest version), name@version, or id.")
    input = ObjectField(help_text="A JSON object, at most 256 KiB: what each run begins with.")
    misfire = serializers.ChoiceField(
        choices=Misfire.choices,
        required=False,
        default=Misfire.ONCE,
        help_text="Times that passed while nothing could start: one run for all of them, or none.",
    )
    max_overlap = serializers.IntegerField(
        required=False,
        default=1,
        min_value=1,
        max_value=MOST_AT_ONCE,
        help_text="A due time starts nothing while so many of its runs have not finished.",
    )


class ScheduleInput(ScheduleFieldsInput):
    is_active = serializers.BooleanField(required=False, default=True)


class ScheduleChange(ScheduleFieldsInput):
    """Any of the fields; what is left out stays."""

    def get_fields(self) -> dict[str, Any]:
        """Return the same fields, none of them needed and none with a default."""
        fields = super().get_fields()
        for field in fields.values():
            field.required, field.default = False, serializers.empty
        return fields


class ScheduleErrorOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    at = serializers.CharField()


class ScheduleOutput(serializers.ModelSerializer[WorkflowSchedule]):
    last_error = ScheduleErrorOutput(allow_null=True, help_text="Why the last due time started nothing.")

    class Meta:
        model = WorkflowSchedule
        fields = [
            "id",
            "name",
            "template",
            "input",
            "cron",
            "timezone",
            "misfire",
            "max_overlap",
            "is_active",
            "next_run_at",
            "last_run_at",
            "last_run_id",
            "last_error",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class ScheduleDetailOutput(ScheduleOutput):
    """With the next times; none while it is paused."""

    next_runs = serializers.SerializerMethodField()

    class Meta(ScheduleOutput.Meta):
        fields = [*ScheduleOutput.Meta.fields, "next_runs"]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_next_runs(self, schedule: WorkflowSchedule) -> list[str]:
        moments = upcoming(schedule.cron, schedule.timezone) if schedule.is_active else []
        return [moment.isoformat() for moment in moments]


class ScheduleQuery(serializers.Serializer[Any]):
    is_active = serializers.BooleanField(required=False, allow_null=True, default=None)


class SchedulesView(APIView):
    pagination_class = KeysetPagination
    parser_classes = [DocumentParser]

    @extend_schema(
        parameters=[OpenApiParameter("is_active", OpenApiTypes.BOOL), *PAGE],
        responses=ScheduleOutput(many=True),
        operation_id="schedules_list",
    )
    def get(self, request: Request) -> Response:
        """List the organization's schedules, newest first."""
        asked = checked(ScheduleQuery(data=request.query_params))
        pages: Any = self.pagination_class()
        page = pages.paginate_queryset(schedule_list(is_active=asked["is_active"]), request, view=self)
        answer: Response = pages.get_paginated_response(ScheduleOutput(page, many=True).data)
        return answer

    @extend_schema(request=ScheduleInput, responses={201: ScheduleDetailOutput}, operation_id="schedules_create")
    def post(self, request: Request) -> Response:
        """Start a workflow at these times from now on, as whoever makes the schedule."""
        given = checked(ScheduleInput(data=request.data))
        is_active = given.pop("is_active")
        schedule = schedule_create(fields=ScheduleFields(**given), is_active=is_active)
        return Response(ScheduleDetailOutput(schedule).data, status=status.HTTP_201_CREATED)


class SchedulePreviewView(APIView):
    parser_classes = [DocumentParser]

    @extend_schema(request=PreviewInput, responses=PreviewOutput, operation_id="schedules_preview")
    def post(self, request: Request) -> Response:
        """The next times of an expression in a time zone, without making a schedule."""
        given = checked(PreviewInput(data=request.data))
        moments = upcoming(given["cron"], given["timezone"], given["count"])
        return Response({"next_runs": [moment.isoformat() for moment in moments]})


class ScheduleView(APIView):
    parser_classes = [DocumentParser]

    @extend_schema(responses=ScheduleDetailOutput, operation_id="schedules_retrieve")
    def get(self, request: Request, schedule_id: UUID) -> Response:
        """One schedule, with its next times and why the last one started nothing, if so."""
        return Response(ScheduleDetailOutput(schedule_get(schedule_id)).data)

    @extend_schema(request=ScheduleChange, responses=ScheduleDetailOutput, operation_id="schedules_update")
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        """Change some fields. From then on it acts for whoever changed it."""
        schedule_get(schedule_id)
        changes = checked(ScheduleChange(data=request.data))
        return Response(ScheduleDetailOutput(schedule_change(schedule_id=schedule_id, changes=changes)).data)

    @extend_schema(responses={204: None}, operation_id="schedules_destroy")
    def delete(self, request: Request, schedule_id: UUID) -> Response:
        """Remove a schedule. Its runs stay."""
        schedule_remove(schedule_id=schedule_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SchedulePauseView(APIView):
    @extend_schema(request=None, responses=ScheduleDetailOutput, operation_id="schedules_pause")
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Start nothing until it is resumed; runs under way go on."""
        return Response(ScheduleDetailOutput(schedule_pause(schedule_id=schedule_id)).data)


class ScheduleResumeView(APIView):
    @extend_schema(request=None, responses=ScheduleDetailOutput, operation_id="schedules_resume")
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Go on with the next time; those that passed in between start nothing."""
        return Response(ScheduleDetailOutput(schedule_resume(schedule_id=schedule_id)).data)


class ScheduleRunView(APIView):
    @extend_schema(parameters=[IDEMPOTENCY], request=None, responses={201: StartedOutput}, operation_id="schedules_run")
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Start its workflow now, besides its times."""
        run = schedule_start_now(schedule_id=schedule_id, key=idempotency_key(request))
        return started(run, is_again=False)
