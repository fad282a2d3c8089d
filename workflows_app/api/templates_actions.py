"""What managers do with a template beside writing it; export, import, and the schema of documents."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.permissions import MemberPermission
from accounts_app.exceptions import InvalidInput
from workflows_app.api.templates import TemplatesAPIView, checked, created, shown
from workflows_app.api.templates_bodies import (
    DiffOutput,
    ImportedOutput,
    TemplateDetailOutput,
    TemplateDuplicateInput,
    TemplatePublishInput,
    ValidationOutput,
)
from workflows_app.contracts import Json
from workflows_app.models import WorkflowConfig
from workflows_app.selectors import config_get
from workflows_app.services.configs import config_publish
from workflows_app.services.differences import document_differences
from workflows_app.services.packs import MAX_BYTES, pack_export, pack_schema
from workflows_app.services.templates import (
    template_activate,
    template_deactivate,
    template_default,
    template_document,
    template_duplicate,
)
from workflows_app.services.transfers import file_read, template_export, templates_import
from workflows_app.services.validation import config_validate, errors_only, workflow_schema


class TextParser(BaseParser):
    """A JSON body read as an uploaded file is: what JSON readers drop without a word is an error."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the content. Raises ConfigInvalid."""
        return file_read(stream.read(MAX_BYTES + 1))


class TemplatePublishView(TemplatesAPIView):
    @extend_schema(request=TemplatePublishInput, responses=TemplateDetailOutput, operation_id="templates_publish")
    def post(self, request: Request, template_id: UUID) -> Response:
        """Make a draft unchangeable and fit to run. Refused with every error there is, each by its JSON pointer."""
        config_get(template_id)
        wanted = checked(TemplatePublishInput(data=request.data))
        return shown(config_publish(config_id=template_id, make_default=wanted["make_default"]))


class TemplateActivateView(TemplatesAPIView):
    @extend_schema(request=None, responses=TemplateDetailOutput, operation_id="templates_activate")
    def post(self, request: Request, template_id: UUID) -> Response:
        """Let a published version be started (again)."""
        return shown(template_activate(config_id=template_id))


class TemplateDeactivateView(TemplatesAPIView):
    @extend_schema(request=None, responses=TemplateDetailOutput, operation_id="templates_deactivate")
    def post(self, request: Request, template_id: UUID) -> Response:
        """Let a published version not be started any more. Runs that it has go on."""
        return shown(template_deactivate(config_id=template_id))


class TemplateDefaultView(TemplatesAPIView):
    @extend_schema(request=None, responses=TemplateDetailOutput, operation_id="templates_default")
    def post(self, request: Request, template_id: UUID) -> Response:
        """Make it what new tasks of its workspace follow. A shared one is the default again once it is asked for."""
        return shown(template_default(config_id=template_id))


class TemplateDuplicateView(TemplatesAPIView):
    @extend_schema(
        request=TemplateDuplicateInput, responses={201: TemplateDetailOutput}, operation_id="templates_duplicate"
    )
    def post(self, request: Request, template_id: UUID) -> Response:
        """Save a copy as a new draft: the next version of the same name, unless the body says otherwise."""
        config_get(template_id)
        return created(template_duplicate(config_id=template_id, **checked(TemplateDuplicateInput(data=request.data))))


class TemplateDiffView(TemplatesAPIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("to", OpenApiTypes.UUID, required=True, description="The template to compare with.")
        ],
        responses=DiffOutput,
        operation_id="templates_diff",
    )
    def get(self, request: Request, template_id: UUID) -> Response:
        """What differs from this template to another one, by JSON pointer."""
        older = config_get(template_id)
        newer = config_get(_id_of(request.query_params.get("to", "")))
        differences = document_differences(template_document(older), template_document(newer))
        return Response(DiffOutput({"from": older, "to": newer, "differences": differences}).data)


class TemplateExportView(TemplatesAPIView):
    @extend_schema(
        responses=OpenApiResponse(OpenApiTypes.OBJECT, "The document, as a file."), operation_id="templates_export"
    )
    def get(self, request: Request, template_id: UUID) -> HttpResponse:
        """The document as a file that import takes, here or elsewhere."""
        return exported(request, config_get(template_id))


class TemplatePackView(TemplatesAPIView):
    @extend_schema(
        responses=OpenApiResponse(OpenApiTypes.OBJECT, "The pack, as a file."), operation_id="templates_pack"
    )
    def get(self, request: Request, template_id: UUID) -> HttpResponse:
        """The document together with all that its steps name: the workflows it starts, their prompts and eval suites.

        A file that import takes in another organization, where it works as it does here.
        """
        return packed(request, config_get(template_id))


class TemplatesImportView(TemplatesAPIView):
    parser_classes = [TextParser, MultiPartParser]

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "on_conflict",
                OpenApiTypes.STR,
                enum=["refuse", "next"],
                description="`next`: take the next free version.",
            )
        ],
        request={
            "application/json": OpenApiTypes.OBJECT,
            "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
        },
        responses={201: ImportedOutput},
        operation_id="templates_import",
    )
    def post(self, request: Request) -> Response:
        """Save workflows from a file or a body as drafts: one document, a list, or a pack. All of it, or nothing.

        A pack brings prompts and eval suites too; those whose key exists here stay as they are.
        """
        upload = request.FILES.get("file")
        if upload is None and request.content_type != "application/json":
            raise InvalidInput.for_field("file", _("Send a file, or JSON."))
        content = request.data if upload is None else file_read(upload.read(MAX_BYTES + 1))
        on_conflict = request.query_params.get("on_conflict", "refuse")
        if on_conflict not in {"refuse", "next"}:
            raise InvalidInput.for_field("on_conflict", "refuse, next")
        imported = templates_import(content, take_next_version=on_conflict == "next")
        return Response(ImportedOutput(imported).data, status=status.HTTP_201_CREATED)


class TemplatesValidateView(TemplatesAPIView):
    permission_classes = [MemberPermission]

    @extend_schema(request=OpenApiTypes.OBJECT, responses=ValidationOutput, operation_id="templates_validate")
    def post(self, request: Request) -> Response:
        """Check a document (the body) without saving it: every error and warning, each by its JSON pointer."""
        problems = config_validate(request.data)
        body = {"valid": not errors_only(problems), "problems": [asdict(item) for item in problems]}
        return Response(ValidationOutput(body).data)


@require_safe
@cache_control(public=True, max_age=3600)
def schema(request: HttpRequest) -> JsonResponse:
    """The JSON Schema of workflow documents, for editors: open to all, from any page."""
    return _schema(workflow_schema())


@require_safe
@cache_control(public=True, max_age=3600)
def schema_of_packs(request: HttpRequest) -> JsonResponse:
    """The JSON Schema of packs, likewise."""
    return _schema(pack_schema())


def _schema(content: Json) -> JsonResponse:
    return JsonResponse(content, headers={"Access-Control-Allow-Origin": "*"}, content_type="application/schema+json")


def exported(request: HttpRequest | Request, config: WorkflowConfig) -> HttpResponse:
    """Answer with a version as a file."""
    return _file(template_export(config, schema_url=request.build_absolute_uri(reverse("template-schema"))), config)


def packed(request: HttpRequest | Request, config: WorkflowConfig) -> HttpResponse:
    """Answer with a version and all that it needs as a file. Raises ConfigInvalid."""
    pack = pack_export(config, schema_url=request.build_absolute_uri(reverse("pack-schema")))
    return _file(pack, config, suffix=".pack")


def _file(content: Json, config: WorkflowConfig, *, suffix: str = "") -> HttpResponse:
    response = JsonResponse(content, json_dumps_params={"indent": 2, "ensure_ascii": False})
    name = slugify(config.name) or config.workspace_id
    response["Content-Disposition"] = f'attachment; filename="{name}-{config.version}{suffix}.json"'
    return response


def _id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInput.for_field("to", _("Give the id of a template.")) from error
