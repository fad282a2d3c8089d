"""The REST API of workflow templates: list, draft, look at, change, remove."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.http import parse_etags, quote_etag
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.api.permissions import MemberPermission
from accounts_app.exceptions import InvalidInput
from workflows_app.api.parsers import DocumentParser
from workflows_app.api.permissions import ManagerPermission
from workflows_app.api.templates_bodies import (
    ORDERINGS,
    TemplateDetailOutput,
    TemplateInput,
    TemplateListOutput,
    TemplatePatch,
)
from workflows_app.filters import TemplateFilter
from workflows_app.models import ConfigStatus, WorkflowConfig
from workflows_app.reads.templates import template_list
from workflows_app.selectors import config_get
from workflows_app.services.templates import template_create, template_delete, template_tag, template_update

FILTERS = [
    OpenApiParameter("q", OpenApiTypes.STR, description="Words of name or description, or how a version begins."),
    OpenApiParameter("name", OpenApiTypes.STR),
    OpenApiParameter("status", OpenApiTypes.STR, enum=ConfigStatus.values),
    OpenApiParameter("workspace", OpenApiTypes.STR),
    OpenApiParameter("owner", OpenApiTypes.STR, enum=["own", "shared"]),
    OpenApiParameter("is_default", OpenApiTypes.BOOL),
    OpenApiParameter("ordering", OpenApiTypes.STR, enum=list(ORDERINGS)),
    OpenApiParameter("cursor", OpenApiTypes.STR),
    OpenApiParameter("limit", OpenApiTypes.INT),
]


IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `ETag` of what was read: 412 where it was changed since.",
)


class TemplatesPermission(ManagerPermission):
    """Everybody in the organization reads; owners and admins write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)


class TemplatesAPIView(APIView):
    permission_classes = [MemberPermission, TemplatesPermission]
    parser_classes = [DocumentParser]


class TemplatesView(TemplatesAPIView):
    pagination_class = KeysetPagination

    @extend_schema(parameters=FILTERS, responses=TemplateListOutput(many=True), operation_id="templates_list")
    def get(self, request: Request) -> Response:
        """List the organization's templates and the shared ones, newest first unless ordered otherwise."""
        wanted = TemplateFilter(request.query_params, queryset=template_list())
        if not wanted.is_valid():
            raise ValidationError(wanted.errors)
        pages: Any = self.pagination_class()
        pages.ordering = _ordering(request)
        page = pages.paginate_queryset(wanted.qs.order_by(*pages.ordering), request, view=self)
        answer: Response = pages.get_paginated_response(TemplateListOutput(page, many=True).data)
        return answer

    @extend_schema(request=TemplateInput, responses={201: TemplateDetailOutput}, operation_id="templates_create")
    def post(self, request: Request) -> Response:
        """Save a draft. It may have errors of meaning still; `problems` lists them, and warnings."""
        return created(template_create(**checked(TemplateInput(data=request.data))))


class TemplateView(TemplatesAPIView):
    @extend_schema(responses=TemplateDetailOutput, operation_id="templates_retrieve")
    def get(self, request: Request, template_id: UUID) -> Response:
        """One template with its document and its problems. Its `ETag` is for `If-Match`."""
        return shown(config_get(template_id))

    @extend_schema(
        parameters=[IF_MATCH], request=TemplateInput, responses=TemplateDetailOutput, operation_id="templates_replace"
    )
    def put(self, request: Request, template_id: UUID) -> Response:
        """Replace a draft's document. Published versions never change."""
        config_get(template_id)
        given = checked(TemplateInput(data=request.data))
        return shown(template_update(config_id=template_id, tags=_tags(request), **given))

    @extend_schema(
        parameters=[IF_MATCH], request=TemplatePatch, responses=TemplateDetailOutput, operation_id="templates_update"
    )
    def patch(self, request: Request, template_id: UUID) -> Response:
        """Change what is given of a draft: name, version, workspace, description, notes, document."""
        config_get(template_id)
        given = checked(TemplatePatch(data=request.data))
        return shown(template_update(config_id=template_id, tags=_tags(request), **given))

    @extend_schema(parameters=[IF_MATCH], request=None, responses={204: None}, operation_id="templates_delete")
    def delete(self, request: Request, template_id: UUID) -> Response:
        """Remove a template that no run ever used and that is not the default."""
        template_delete(config_id=template_id, tags=_tags(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def checked(serializer: Any) -> dict[str, Any]:
    """Return what a body says. Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


def shown(config: WorkflowConfig) -> Response:
    """Answer with one template."""
    return Response(TemplateDetailOutput(config).data, headers={"ETag": quote_etag(template_tag(config))})


def created(config: WorkflowConfig) -> Response:
    """Answer with a template that was made just now."""
    location = reverse("template", kwargs={"template_id": config.pk})
    headers = {"Location": location, "ETag": quote_etag(template_tag(config))}
    return Response(TemplateDetailOutput(config).data, status=status.HTTP_201_CREATED, headers=headers)


def _tags(request: Request) -> tuple[str, ...]:
    # Who compresses an answer on the way makes its tag a weak one: that says as much as we need.
    tags = parse_etags(request.headers.get("If-Match", "*"))
    return () if "*" in tags else tuple(tag.removeprefix("W/").strip('"') for tag in tags) or ("",)


def _ordering(request: Request) -> tuple[str, ...]:
    wanted = request.query_params.get("ordering", "-created_at")
    if wanted not in ORDERINGS:
        raise InvalidInput.for_field("ordering", ", ".join(ORDERINGS))
    return ORDERINGS[wanted]
