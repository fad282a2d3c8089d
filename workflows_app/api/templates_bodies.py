"""What is sent to /api/v1/templates, and what it answers."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows_app.api.serializers import ProblemSerializer
from workflows_app.models import WorkflowConfig
from workflows_app.services.configs import problems_of
from workflows_app.services.differences import Difference
from workflows_app.services.pack_parts import PackItem
from workflows_app.services.templates import template_document
from workflows_app.services.transfers import file_read

ORDERINGS = {
    "-created_at": ("-created_at", "-id"),
    "created_at": ("created_at", "id"),
    "-updated_at": ("-updated_at", "-id"),
    "updated_at": ("updated_at", "id"),
    "name": ("name", "id"),
    "-name": ("-name", "-id"),
}


@extend_schema_field({"type": "object", "additionalProperties": {}})
class DocumentField(serializers.JSONField):
    """A workflow document: an object, or the text of one."""

    def to_internal_value(self, data: Any) -> Any:
        return file_read(data.encode(errors="surrogatepass")) if isinstance(data, str) else data


class TextField(serializers.CharField):
    """A string and nothing else: no number is taken for its digits, as 1.0 for a version."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TemplateInput(serializers.Serializer[Any]):
    name = TextField(required=False, max_length=120, help_text="The document's own name when left out.")
    version = TextField(required=False, max_length=20, help_text="MAJOR.MINOR.PATCH; the document's own when left out.")
    workspace = TextField(required=False, max_length=20, help_text="The document's own when left out, or general.")
    description = TextField(required=False, allow_blank=True, max_length=1000)
    notes = TextField(required=False, allow_blank=True, max_length=4000, help_text="What is new in this version.")
    config = DocumentField(help_text="The workflow document, see /api/v1/schemas/workflow.json.")


class TemplatePatch(TemplateInput):
    config = DocumentField(required=False)


class TemplatePublishInput(serializers.Serializer[Any]):
    make_default = serializers.BooleanField(
        default=False, help_text="New tasks of the workspace follow this version from now on."
    )


class TemplateDuplicateInput(serializers.Serializer[Any]):
    name = TextField(required=False, max_length=120, help_text="The same name when left out.")
    version = TextField(required=False, max_length=20, help_text="The next free patch version when left out.")


class TemplateListOutput(serializers.ModelSerializer[WorkflowConfig]):
    """A template in a list. ``shared`` is initial data that everyone reads and nobody changes."""

    workspace = serializers.CharField(source="workspace_id")
    shared = serializers.SerializerMethodField()

    class Meta:
        model = WorkflowConfig
        fields = [
            "id",
            "name",
            "version",
            "description",
            "workspace",
            "status",
            "is_default",
            "shared",
            "notes",
            "created_at",
            "updated_at",
            "published_at",
        ]

    def get_shared(self, config: WorkflowConfig) -> bool:
        return config.organization_id is None


class TemplateDetailOutput(TemplateListOutput):
    """A template with its document and all that is to be said about that: what forbids publishing, and warnings."""

    config = serializers.SerializerMethodField()
    problems = serializers.SerializerMethodField()

    class Meta(TemplateListOutput.Meta):
        fields = [*TemplateListOutput.Meta.fields, "config", "problems"]

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_config(self, config: WorkflowConfig) -> Any:
        return template_document(config)

    @extend_schema_field(ProblemSerializer(many=True))
    def get_problems(self, config: WorkflowConfig) -> list[dict[str, Any]]:
        return [asdict(problem) for problem in problems_of(config)]


class PackItemOutput(serializers.Serializer[PackItem]):
    kind = serializers.ChoiceField(choices=["prompt", "eval_suite"])
    key = serializers.CharField()
    name = serializers.CharField()


class ImportedOutput(serializers.Serializer[Any]):
    templates = TemplateDetailOutput(many=True, help_text="The drafts.")
    created = PackItemOutput(many=True, help_text="The prompts and eval suites of a pack that are new here.")
    kept = PackItemOutput(many=True, help_text="Those whose key exists here: they stay as they are.")


class DifferenceOutput(serializers.Serializer[Difference]):
    kind = serializers.ChoiceField(choices=["added", "removed", "changed"])
    pointer = serializers.CharField(help_text="Into the newer document; of what was removed, into the older one.")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class DiffOutput(serializers.Serializer[Any]):
    older = TemplateListOutput(source="from", help_text="The template of the address.")
    newer = TemplateListOutput(source="to", help_text="The one that `to` names.")
    differences = DifferenceOutput(many=True)


class ValidationOutput(serializers.Serializer[Any]):
    valid = serializers.BooleanField(help_text="Whether it could be published: no problem is an error.")
    problems = ProblemSerializer(many=True)
