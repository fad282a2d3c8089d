"""What is sent to /api/v1/executions: bodies and filters."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows_app.api.executions_input import INPUT_BYTES, SIGNAL_BYTES, checked_object
from workflows_app.models import LogLevel, RunScope, RunStatus


class TextField(serializers.CharField):
    """A string and nothing else: no number is taken for its digits."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.JSONField):
    """A JSON object that can be stored, of at most ``limit`` bytes. Left out, it is empty."""

    def __init__(self, *, limit: int = INPUT_BYTES, **options: Any) -> None:
        super().__init__(required=False, default=dict, **options)
        self.limit = limit

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        return checked_object(self.field_name or "", data, limit=self.limit)


class StatusesField(serializers.ListField):
    """``status=failed&status=cancelled``, or ``status=failed,cancelled``."""

    child = serializers.ChoiceField(choices=RunStatus.choices)

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value([part for each in data for part in str(each).split(",") if part])


class ExecutionStartInput(serializers.Serializer[Any]):
    template = TextField(max_length=200, help_text="A template's name (its newest version), name@version, or id.")
    input = ObjectField(help_text="A JSON object, at most 256 KiB: what the run begins with.")
    task = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="One of your tasks, which the run is about."
    )
    priority = serializers.IntegerField(
        required=False, default=0, min_value=-100, max_value=100, help_text="Higher ones are taken first."
    )
    stream = serializers.BooleanField(
        required=False, default=False, help_text="Open a live stream; its events are at links.stream."
    )


class ExecutionRetryInput(serializers.Serializer[Any]):
    stream = serializers.BooleanField(required=False, default=False, help_text="Open a new live stream.")


class ExecutionReplayInput(serializers.Serializer[Any]):
    seq = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, help_text="The last event of the history that the new run shares."
    )
    template = TextField(
        max_length=200, required=False, allow_blank=True, default="", help_text="Another version to go on with."
    )
    params = ObjectField(help_text="A JSON object: overrides those of the run's context.")
    stream = serializers.BooleanField(required=False, default=False, help_text="Open a live stream for the new run.")


class ExecutionSignalInput(serializers.Serializer[Any]):
    name = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}\Z", trim_whitespace=False, help_text="An approval is named `approve`."
    )
    data = ObjectField(  # type: ignore[assignment]
        limit=SIGNAL_BYTES, help_text="A JSON object, at most 64 KiB; of an approval `{approved, note?}`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["name"] == "approve" and not isinstance(attrs["data"].get("approved"), bool):
            raise serializers.ValidationError({"data": {"approved": _("Say true or false.")}})
        return attrs


class ExecutionQuery(serializers.Serializer[Any]):
    template = serializers.CharField(required=False, max_length=200, help_text="A name, name@version, or an id.")
    status = StatusesField(required=False, help_text="One or several: `status=failed&status=cancelled`.")
    task = serializers.UUIDField(required=False)
    trace_id = serializers.RegexField(r"^[0-9a-f]{32}\Z", required=False)
    parent = serializers.UUIDField(required=False, help_text="The run whose branches and child workflows are meant.")  # type: ignore[assignment]
    origin = serializers.UUIDField(required=False, help_text="The run of which these are replays.")
    roots = serializers.BooleanField(required=False, default=False, help_text="No branches and child workflows.")
    scope = serializers.ChoiceField(choices=RunScope.choices, required=False)
    error = serializers.CharField(required=False, max_length=100, help_text="The code of the error of failed runs.")
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)
    q = serializers.CharField(
        required=False,
        max_length=200,
        help_text="Looked for in ids (the first 8 characters or more), errors' messages, and templates' names.",
    )


class HistoryQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**31 - 1)
    limit = serializers.IntegerField(required=False, default=200, min_value=1, max_value=1000)


class LogsQuery(HistoryQuery):
    step = serializers.CharField(required=False, max_length=180, help_text="A step's key, or its path: `D#2/review`.")
    level = serializers.ChoiceField(
        choices=LogLevel.choices, required=False, help_text="The lowest one that is wanted."
    )
    q = serializers.CharField(required=False, max_length=200, help_text="A text of the message or the data.")


class StatisticsQuery(serializers.Serializer[Any]):
    since = serializers.DateField(required=False, help_text="6 days before `until` unless given; at most 92 days.")
    until = serializers.DateField(required=False, help_text="This day, too; today (UTC) unless given.")
    template = serializers.CharField(required=False, max_length=200, help_text="A name, or name@version.")
