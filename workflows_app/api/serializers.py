from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows_app.contracts import ConfigError
from workflows_app.models import WorkflowConfig
from workflows_app.services.configs import problems_of


class ConfigSummarySerializer(serializers.ModelSerializer[WorkflowConfig]):
    """A version in a list. ``shared`` is initial data that everyone reads."""

    workspace = serializers.CharField(source="workspace_id")
    shared = serializers.SerializerMethodField()

    class Meta:
        model = WorkflowConfig
        fields = ["id", "workspace", "version", "name", "status", "is_default", "shared", "notes", "created_at"]

    def get_shared(self, config: WorkflowConfig) -> bool:
        return config.organization_id is None


class ConfigSerializer(ConfigSummarySerializer):
    """A version with its document."""

    class Meta(ConfigSummarySerializer.Meta):
        fields = [*ConfigSummarySerializer.Meta.fields, "config"]


class ProblemSerializer(serializers.Serializer[ConfigError]):
    pointer = serializers.CharField()
    message = serializers.CharField()
    severity = serializers.ChoiceField(choices=["error", "warning"])


class DraftSerializer(ConfigSerializer):
    """A draft with what is still wrong with it."""

    problems = serializers.SerializerMethodField()

    class Meta(ConfigSerializer.Meta):
        fields = [*ConfigSerializer.Meta.fields, "problems"]

    @extend_schema_field(ProblemSerializer(many=True))
    def get_problems(self, config: WorkflowConfig) -> list[dict[str, Any]]:
        return [asdict(problem) for problem in problems_of(config)]


class DraftInput(serializers.Serializer[dict[str, Any]]):
    """``config`` is the WORKFLOW.json; its own findings come as JSON pointers."""

    config = serializers.JSONField()
    name = serializers.CharField(max_length=120, required=False)
    notes = serializers.CharField(max_length=4000, required=False, allow_blank=True)


class PublishInput(serializers.Serializer[dict[str, Any]]):
    make_default = serializers.BooleanField(default=True)
