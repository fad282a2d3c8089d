"""What asks a model: apply and rewrite. Not atomic: no transaction is open while the model writes."""

from uuid import UUID

from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from prompts_app.api.inputs import options_from
from prompts_app.api.serializers.calls import ApplyInput, ApplyOutput, RewriteInput, RewriteOutput
from prompts_app.selectors import prompt_get
from prompts_app.services.rewrites import prompt_rewrite
from prompts_app.services.runs import prompt_apply

IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key again gets the same answer."
)


def _must_exist(prompt_id: UUID) -> None:
    # Someone else's prompt answers 404 before anything is said about the body.
    with transaction.atomic():
        prompt_get(prompt_id)


class ApplyView(APIView):
    @extend_schema(parameters=[IDEMPOTENCY], request=ApplyInput, responses=ApplyOutput, operation_id="prompts_apply")
    def post(self, request: Request, prompt_id: UUID) -> Response:
        """Fill in the variables, let the model write, and answer with the text and what it cost."""
        _must_exist(prompt_id)
        given = ApplyInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = given.validated_data
        outcome = prompt_apply(
            prompt_id=prompt_id,
            version_id=body["version_id"],
            variables=body["variables"],
            options=options_from(request, body),
        )
        return Response(ApplyOutput(outcome).data)


class RewriteView(APIView):
    @extend_schema(
        parameters=[IDEMPOTENCY],
        request=RewriteInput,
        responses={201: RewriteOutput},
        operation_id="prompts_bootstrap_rewrite",
    )
    def post(self, request: Request, prompt_id: UUID) -> Response:
        """Let the model improve the prompt by findings (the linter's own, if none are given) into a new draft."""
        _must_exist(prompt_id)
        given = RewriteInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = given.validated_data
        outcome = prompt_rewrite(
            prompt_id=prompt_id,
            version_id=body["version_id"],
            findings=body["findings"],
            instruction=body["instruction"],
            options=options_from(request, body),
        )
        return Response(RewriteOutput(outcome).data, status=status.HTTP_201_CREATED)
