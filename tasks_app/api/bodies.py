"""The bodies whose names the specification gives: camelCase."""
# ruff: noqa: N815

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class TextField(serializers.CharField):
    """A string and nothing else: no number is taken for its digits."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TaskInput(serializers.Serializer[Any]):
    # Length and blankness are the service's to judge: pages come the same way.
    inputText = TextField(trim_whitespace=False, allow_blank=True)
    preferredWorkspace = TextField(required=False, allow_blank=True, allow_null=True, max_length=20)


class TaskCreatedOutput(serializers.Serializer[Any]):
    taskId = serializers.UUIDField(source="task_id")
    workspaceKey = serializers.CharField(source="workspace_key")
    nextStage = serializers.CharField(source="next_stage")


class AdvanceInput(serializers.Serializer[Any]):
    stage = TextField(max_length=64)
    action = TextField(max_length=20)
    params = serializers.JSONField(required=False, default=dict)


class AdvanceOutput(serializers.Serializer[Any]):
    ok = serializers.BooleanField(default=True)
    runId = serializers.UUIDField(source="run_id", allow_null=True)
    streamId = serializers.UUIDField(source="stream_id", allow_null=True)
    nextStage = serializers.CharField(source="next_stage", allow_null=True)


class AdvanceDoneOutput(AdvanceOutput):
    """Also what the run made; only a caller who waited gets it."""

    versionId = serializers.CharField(source="version_id", allow_null=True)


class ReplayInput(serializers.Serializer[Any]):
    """From where: an event of the task's timeline, or one of a run's own history."""

    eventSeq = serializers.IntegerField(required=False, min_value=1)
    runId = serializers.UUIDField(required=False)
    seq = serializers.IntegerField(required=False, min_value=1)
    versionId = serializers.UUIDField(required=False, allow_null=True)
    params = serializers.JSONField(required=False, default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("eventSeq" in attrs) == ("runId" in attrs) or ("runId" in attrs) != ("seq" in attrs):
            raise serializers.ValidationError({"eventSeq": _("Give eventSeq, or runId with seq.")})
        return attrs


class CancelOutput(serializers.Serializer[Any]):
    ok = serializers.BooleanField(default=True)
    runId = serializers.UUIDField(source="run_id")
