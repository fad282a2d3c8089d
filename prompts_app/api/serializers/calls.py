"""Runs and rewrites, in and out."""

from typing import Any

from rest_framework import serializers

from prompts_app.api.serializers.fields import ObjectField, ValuesField
from prompts_app.models import PromptRun
from prompts_app.services.rewrites import MAX_FINDINGS, MAX_INSTRUCTION_CHARS


class ApplyInput(serializers.Serializer[None]):
    variables = ValuesField(required=False, default=dict)
    version_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    model = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)
    max_tokens = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=200_000)


class TokensOutput(serializers.Serializer[Any]):
    input = serializers.IntegerField()
    cached_input = serializers.IntegerField()
    cache_write = serializers.IntegerField()
    output = serializers.IntegerField()
    reasoning = serializers.IntegerField()
    total = serializers.IntegerField()


class _CallOutput(serializers.Serializer[Any]):
    text = serializers.CharField()
    model = serializers.CharField()
    tokens = TokensOutput()
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=10)
    latency_ms = serializers.IntegerField()
    finish_reason = serializers.CharField()
    call_id = serializers.UUIDField(allow_null=True)
    replayed = serializers.BooleanField()


class ApplyOutput(_CallOutput):
    run_id = serializers.UUIDField()
    prompt_id = serializers.UUIDField()
    version_id = serializers.UUIDField()


class FindingInput(serializers.Serializer[None]):
    message = serializers.CharField(max_length=1_000)
    code = serializers.CharField(required=False, allow_blank=True, max_length=20)
    severity = serializers.CharField(required=False, allow_blank=True, max_length=20)
    why = serializers.CharField(required=False, allow_blank=True, max_length=1_000)
    field = serializers.CharField(required=False, allow_blank=True, max_length=200)
    line = serializers.IntegerField(required=False, min_value=1)
    col = serializers.IntegerField(required=False, min_value=1)


class RewriteInput(serializers.Serializer[None]):
    findings = FindingInput(many=True, required=False, allow_null=True, default=None, max_length=MAX_FINDINGS)  # type: ignore[call-arg]  # goes to the list around it
    instruction = serializers.CharField(required=False, allow_blank=True, default="", max_length=MAX_INSTRUCTION_CHARS)
    version_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    model = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)


class RewriteOutput(_CallOutput):
    rewrite_id = serializers.UUIDField()
    version_id = serializers.UUIDField()


class RunOutput(serializers.ModelSerializer[PromptRun]):
    status = serializers.CharField(help_text="completed, stopped or failed")
    version_number = serializers.IntegerField(source="version.number")
    variables = ObjectField()
    total_tokens = serializers.IntegerField()

    class Meta:
        model = PromptRun
        fields = [
            "id",
            "version_id",
            "version_number",
            "status",
            "error_code",
            "model",
            "variables",
            "output",
            "total_tokens",
            "cost_usd",
            "latency_ms",
            "finish_reason",
            "task_id",
            "run_id",
            "trace_id",
            "created_at",
        ]
