"""What is linted, and findings."""

from typing import Any

from rest_framework import serializers

from prompts_app.api.serializers.fields import MessagesField, ObjectField, VariablesField
from prompts_app.contracts import Finding
from prompts_app.services.rewrites import MAX_TEXT_CHARS


class LintInput(serializers.Serializer[None]):
    target = serializers.ChoiceField(choices=["prompt", "text"], required=False)
    prompt_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    version_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    messages = MessagesField(required=False, allow_null=True, default=None)
    text = serializers.CharField(
        required=False, allow_null=True, default=None, trim_whitespace=False, max_length=MAX_TEXT_CHARS
    )
    variables = VariablesField(required=False, allow_null=True, default=None)
    title = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
    response_format = ObjectField(required=False, allow_null=True, default=None)
    token_budget = serializers.IntegerField(required=False, min_value=1, max_value=10_000_000, default=16_000)


class RangeOutput(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    col = serializers.IntegerField()
    end_line = serializers.IntegerField()
    end_col = serializers.IntegerField()


class FixOutput(serializers.Serializer[Any]):
    range = RangeOutput()
    text = serializers.CharField()
    safe = serializers.BooleanField()


class FindingOutput(serializers.Serializer[Finding]):
    code = serializers.CharField()
    severity = serializers.ChoiceField(choices=["error", "warning", "note"])
    field = serializers.CharField()
    line = serializers.IntegerField()
    col = serializers.IntegerField()
    end_line = serializers.IntegerField()
    end_col = serializers.IntegerField()
    message = serializers.CharField()
    why = serializers.CharField()
    fix = FixOutput(allow_null=True)


class SummaryOutput(serializers.Serializer[Any]):
    errors = serializers.IntegerField()  # type: ignore[assignment]  # the count, in the result's own word
    warnings = serializers.IntegerField()
    notes = serializers.IntegerField()
    total = serializers.IntegerField()


class LintOutput(serializers.Serializer[Any]):
    findings = FindingOutput(many=True)
    summary = SummaryOutput()
