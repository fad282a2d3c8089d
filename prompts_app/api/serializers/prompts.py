"""Prompts and versions, in and out."""

from rest_framework import serializers

from prompts_app.api.serializers.fields import MessagesField, ObjectField, VariablesField
from prompts_app.models import Language, Prompt, PromptCategory, PromptVersion


class VersionInput(serializers.Serializer[None]):
    messages = MessagesField()
    variables = VariablesField(required=False, allow_null=True, default=None)
    language = serializers.ChoiceField(choices=Language.choices, required=False, default=Language.ANY, allow_blank=True)
    model = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)
    parameters = ObjectField(required=False, default=dict)
    notes = serializers.CharField(required=False, allow_blank=True, default="", max_length=4_000)
    parent_id = serializers.UUIDField(required=False, allow_null=True, default=None)


class PromptInput(serializers.Serializer[None]):
    key = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, allow_blank=True, default="", max_length=4_000)
    category = serializers.ChoiceField(choices=PromptCategory.choices, required=False, default=PromptCategory.TASK)
    workspace_key = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)
    version = VersionInput()


class PromptPatch(serializers.Serializer[None]):
    name = serializers.CharField(required=False, max_length=120)
    description = serializers.CharField(required=False, allow_blank=True, max_length=4_000)
    category = serializers.ChoiceField(choices=PromptCategory.choices, required=False)
    workspace_key = serializers.CharField(required=False, allow_blank=True, max_length=20)
    archived = serializers.BooleanField(required=False)


class VersionOutput(serializers.ModelSerializer[PromptVersion]):
    status = serializers.CharField(help_text="draft or published")
    messages = MessagesField()
    variables = VariablesField()
    parameters = ObjectField()
    provenance = ObjectField()

    class Meta:
        model = PromptVersion
        fields = [
            "id",
            "prompt_id",
            "number",
            "language",
            "status",
            "messages",
            "variables",
            "model",
            "parameters",
            "notes",
            "content_hash",
            "parent_id",
            "provenance",
            "created_at",
            "published_at",
        ]


class PromptOutput(serializers.ModelSerializer[Prompt]):
    shared = serializers.BooleanField(source="is_shared")
    archived = serializers.SerializerMethodField()

    class Meta:
        model = Prompt
        fields = [
            "id",
            "key",
            "name",
            "description",
            "category",
            "workspace_key",
            "shared",
            "archived",
            "created_at",
            "updated_at",
        ]

    def get_archived(self, prompt: Prompt) -> bool:
        return prompt.archived_at is not None


class PromptListOutput(PromptOutput):
    latest_version = serializers.IntegerField(source="latest_number", allow_null=True)
    published = serializers.BooleanField(source="is_live")
    last_run_at = serializers.DateTimeField(allow_null=True)
    last_run_status = serializers.CharField(allow_null=True)

    class Meta(PromptOutput.Meta):
        fields = [*PromptOutput.Meta.fields, "latest_version", "published", "last_run_at", "last_run_status"]


class PromptDetailOutput(PromptOutput):
    versions = VersionOutput(many=True, source="shown_versions")

    class Meta(PromptOutput.Meta):
        fields = [*PromptOutput.Meta.fields, "versions"]
