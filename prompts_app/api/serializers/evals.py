"""Eval suites, cases and runs, in and out."""

from typing import Any

from rest_framework import serializers

from prompts_app.api.serializers.fields import AssertionsField, ObjectField, ValuesField
from prompts_app.contracts import EvalOutcome
from prompts_app.models import EvalCase, EvalRun, EvalSuite
from prompts_app.services.rewrites import MAX_TEXT_CHARS


class CaseInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=120)
    variables = ValuesField(required=False, default=dict)
    assertions = AssertionsField()


class SuiteInput(serializers.Serializer[None]):
    key = serializers.CharField(max_length=80)
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, allow_blank=True, default="", max_length=4_000)
    workspace_key = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)
    cases = CaseInput(many=True, required=False, default=list, max_length=200)  # type: ignore[call-arg]  # goes to the list around it


class CaseOutput(serializers.ModelSerializer[EvalCase]):
    variables = ObjectField()
    assertions = AssertionsField()

    class Meta:
        model = EvalCase
        fields = ["id", "position", "name", "variables", "assertions"]


class SuiteOutput(serializers.ModelSerializer[EvalSuite]):
    shared = serializers.BooleanField(source="is_shared")

    class Meta:
        model = EvalSuite
        fields = ["id", "key", "name", "description", "workspace_key", "shared", "created_at"]


class SuiteDetailOutput(SuiteOutput):
    cases = CaseOutput(many=True, source="shown_cases")

    class Meta(SuiteOutput.Meta):
        fields = [*SuiteOutput.Meta.fields, "cases"]


class EvalInput(serializers.Serializer[None]):
    suite_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    suite_key = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    version_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    text = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        default=None,
        trim_whitespace=False,
        max_length=MAX_TEXT_CHARS,
    )
    model = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)


class AssertionResultOutput(serializers.Serializer[Any]):
    type = serializers.CharField()
    outcome = serializers.CharField()
    message = serializers.CharField()
    value = serializers.JSONField(allow_null=True)


class CaseResultOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    outcome = serializers.CharField()
    error_code = serializers.CharField()
    output = serializers.CharField()
    case_id = serializers.UUIDField(allow_null=True)
    prompt_run_id = serializers.UUIDField(allow_null=True)
    assertions = AssertionResultOutput(many=True)


class EvalOutput(serializers.Serializer[EvalOutcome]):
    eval_run_id = serializers.UUIDField()
    passed = serializers.IntegerField()
    failed = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # the count, in the result's own word
    pass_rate = serializers.DecimalField(max_digits=5, decimal_places=4, allow_null=True)
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=10)
    cases = CaseResultOutput(many=True)


class EvalRunOutput(serializers.ModelSerializer[EvalRun]):
    suite_key = serializers.CharField(source="suite.key")

    class Meta:
        model = EvalRun
        fields = [
            "id",
            "suite_id",
            "suite_key",
            "target",
            "version_id",
            "passed",
            "failed",
            "errors",
            "pass_rate",
            "total_tokens",
            "cost_usd",
            "created_at",
        ]
