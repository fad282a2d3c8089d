"""The linter over REST, in our own format or as SARIF 2.1.0."""

import json
from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from prompts_app.api.inputs import document_from
from prompts_app.api.serializers.linter import LintInput, LintOutput
from prompts_app.services.linter import lint
from prompts_app.services.reports import sarif, summary

FORMAT = OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "sarif"])


class SarifRenderer(BaseRenderer):
    """``?format=sarif`` or ``Accept: application/sarif+json``."""

    media_type = "application/sarif+json"
    format = "sarif"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return json.dumps(data, ensure_ascii=False, default=str).encode()


class LinterView(APIView):
    renderer_classes = [JSONRenderer, SarifRenderer]

    @extend_schema(
        parameters=[FORMAT],
        request=LintInput,
        responses={
            (200, "application/json"): LintOutput,
            (200, "application/sarif+json"): OpenApiResponse(OpenApiTypes.OBJECT, description="A SARIF 2.1.0 log."),
        },
        operation_id="linter",
    )
    def post(self, request: Request) -> Response:
        """Check a text, messages, or a stored prompt. Findings are no error: the answer is 200 whatever is found."""
        given = LintInput(data=request.data)
        given.is_valid(raise_exception=True)
        findings = lint(document_from(given.validated_data))
        if isinstance(request.accepted_renderer, SarifRenderer):
            return Response(sarif(findings))
        return Response({"findings": [item.as_json() for item in findings], "summary": summary(findings)})
