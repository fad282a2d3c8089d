"""Prompts and their versions over REST."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from prompts_app.api.inputs import draft_from
from prompts_app.api.serializers.calls import RunOutput
from prompts_app.api.serializers.prompts import (
    PromptDetailOutput,
    PromptInput,
    PromptListOutput,
    PromptPatch,
    VersionInput,
    VersionOutput,
)
from prompts_app.filters import PromptFilter
from prompts_app.models import Prompt
from prompts_app.selectors import prompt_get, prompt_list, runs_of, version_of, versions_of
from prompts_app.services.prompts import prompt_copy, prompt_create, prompt_update, version_create, version_publish

PAGING = [OpenApiParameter("cursor", OpenApiTypes.STR), OpenApiParameter("limit", OpenApiTypes.INT)]
FILTERS = [
    OpenApiParameter("q", OpenApiTypes.STR, description="Words of name, key or description."),
    OpenApiParameter("category", OpenApiTypes.STR, enum=["system", "task", "mode"]),
    OpenApiParameter("status", OpenApiTypes.STR, enum=["published", "draft"]),
    OpenApiParameter("owner", OpenApiTypes.STR, enum=["own", "shared"]),
    OpenApiParameter("workspace", OpenApiTypes.STR),
    *PAGING,
]


class VersionPagination(KeysetPagination):
    ordering = ("-number",)  # type: ignore[assignment]


def prompt_body(prompt: Prompt) -> Any:
    """Return a prompt with its versions, newest first."""
    prompt.shown_versions = list(versions_of(prompt))  # type: ignore[attr-defined]
    return PromptDetailOutput(prompt).data


def created(prompt: Prompt) -> Response:
    """Return 201 with the prompt and its address."""
    headers = {"Location": reverse("api-prompt", kwargs={"prompt_id": prompt.pk})}
    return Response(prompt_body(prompt), status=status.HTTP_201_CREATED, headers=headers)


class PromptsView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(parameters=FILTERS, responses=PromptListOutput(many=True), operation_id="prompts_list")
    def get(self, request: Request) -> Response:
        """List the organization's prompts and the shared ones, newest first."""
        wanted = PromptFilter(request.query_params, queryset=prompt_list())
        if not wanted.is_valid():
            raise ValidationError(wanted.errors)
        pages = self.pagination_class()
        page = pages.paginate_queryset(wanted.qs, request, view=self)
        return pages.get_paginated_response(PromptListOutput(page, many=True).data)

    @extend_schema(request=PromptInput, responses={201: PromptDetailOutput}, operation_id="prompts_create")
    def post(self, request: Request) -> Response:
        """Make a prompt with its first version, a draft."""
        given = PromptInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = dict(given.validated_data)
        return created(prompt_create(draft=draft_from(body.pop("version")), **body))


class PromptView(APIView):
    @extend_schema(responses=PromptDetailOutput, operation_id="prompts_retrieve")
    def get(self, request: Request, prompt_id: UUID) -> Response:
        """One prompt with its versions."""
        return Response(prompt_body(prompt_get(prompt_id)))

    @extend_schema(request=PromptPatch, responses=PromptDetailOutput, operation_id="prompts_update")
    def patch(self, request: Request, prompt_id: UUID) -> Response:
        """Change what a prompt is called, or archive it. Its key and its versions never change."""
        given = PromptPatch(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(prompt_body(prompt_update(prompt_id=prompt_id, changes=given.validated_data)))


class PromptCopyView(APIView):
    @extend_schema(request=None, responses={201: PromptDetailOutput}, operation_id="prompts_copy")
    def post(self, request: Request, prompt_id: UUID) -> Response:
        """Copy a prompt into the organization, for instance a shared one in order to change it."""
        return created(prompt_copy(prompt_id=prompt_id))


class VersionsView(APIView):
    pagination_class = VersionPagination

    @extend_schema(parameters=PAGING, responses=VersionOutput(many=True), operation_id="prompt_versions_list")
    def get(self, request: Request, prompt_id: UUID) -> Response:
        """A prompt's versions, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(versions_of(prompt_get(prompt_id)), request, view=self)
        return pages.get_paginated_response(VersionOutput(page, many=True).data)

    @extend_schema(request=VersionInput, responses={201: VersionOutput}, operation_id="prompt_versions_create")
    def post(self, request: Request, prompt_id: UUID) -> Response:
        """Add a draft version."""
        prompt_get(prompt_id)
        given = VersionInput(data=request.data)
        given.is_valid(raise_exception=True)
        version = version_create(prompt_id=prompt_id, draft=draft_from(given.validated_data))
        return Response(VersionOutput(version).data, status=status.HTTP_201_CREATED)


class VersionView(APIView):
    @extend_schema(responses=VersionOutput, operation_id="prompt_versions_retrieve")
    def get(self, request: Request, prompt_id: UUID, version_id: UUID) -> Response:
        """One version."""
        return Response(VersionOutput(version_of(prompt_get(prompt_id), version_id)).data)


class VersionPublishView(APIView):
    @extend_schema(request=None, responses=VersionOutput, operation_id="prompt_versions_publish")
    def post(self, request: Request, prompt_id: UUID, version_id: UUID) -> Response:
        """Make a draft what the prompt's key stands for. Doing it again changes nothing."""
        version = version_of(prompt_get(prompt_id), version_id)
        return Response(VersionOutput(version_publish(version_id=version.pk)).data)


class RunsView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(parameters=PAGING, responses=RunOutput(many=True), operation_id="prompt_runs_list")
    def get(self, request: Request, prompt_id: UUID) -> Response:
        """The organization's runs of a prompt, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(runs_of(prompt_get(prompt_id)), request, view=self)
        return pages.get_paginated_response(RunOutput(page, many=True).data)
