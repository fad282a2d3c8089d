from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.permissions import MemberPermission
from accounts_app.exceptions import NotFound
from workflows_app.api.parsers import DocumentParser
from workflows_app.api.permissions import ManagerPermission
from workflows_app.api.serializers import (
    ConfigSerializer,
    ConfigSummarySerializer,
    DraftInput,
    DraftSerializer,
    PublishInput,
)
from workflows_app.models import WorkflowConfig
from workflows_app.selectors import config_get, configs_readable
from workflows_app.services.configs import config_draft_create, config_draft_update, config_publish, default_config
from workflows_app.services.validation import workflow_schema


class SchemaView(APIView):
    """The JSON Schema of workflow documents."""

    @extend_schema(responses={200: dict[str, Any]}, operation_id="workflow_schema")
    def get(self, request: Request) -> Response:
        return Response(workflow_schema())


class WorkflowView(APIView):
    """The workflow that new tasks of a workspace follow."""

    @extend_schema(responses=ConfigSerializer, operation_id="workflow_default")
    def get(self, request: Request, workspace: str) -> Response:
        return Response(ConfigSerializer(default_config(workspace)).data)


class VersionsView(ListAPIView[WorkflowConfig]):
    """A workspace's versions, newest first; POST saves a new draft."""

    queryset = WorkflowConfig.objects.none()  # for the OpenAPI document, which is made for no tenant
    parser_classes = [DocumentParser]
    serializer_class = ConfigSummarySerializer

    def get_queryset(self) -> QuerySet[WorkflowConfig]:
        return configs_readable().filter(workspace_id=self.kwargs.get("workspace", ""))

    @extend_schema(request=DraftInput, responses={201: DraftSerializer}, operation_id="workflow_draft")
    def post(self, request: Request, workspace: str) -> Response:
        data = _checked(DraftInput(data=request.data))
        config = config_draft_create(
            workspace_key=workspace,
            document=data["config"],
            name=data.get("name", ""),
            notes=data.get("notes", ""),
        )
        return Response(DraftSerializer(config).data, status=201)


class VersionView(APIView):
    """One version; PUT replaces a draft."""

    parser_classes = [DocumentParser]

    @extend_schema(responses=DraftSerializer, operation_id="workflow_version")
    def get(self, request: Request, workspace: str, config_id: UUID) -> Response:
        return Response(DraftSerializer(_in_workspace(workspace, config_id)).data)

    @extend_schema(request=DraftInput, responses=DraftSerializer, operation_id="workflow_draft_update")
    def put(self, request: Request, workspace: str, config_id: UUID) -> Response:
        _in_workspace(workspace, config_id)
        data = _checked(DraftInput(data=request.data))
        config = config_draft_update(
            config_id=config_id, document=data["config"], name=data.get("name"), notes=data.get("notes")
        )
        return Response(DraftSerializer(config).data)


class PublishView(APIView):
    """Publish a draft: owners and admins."""

    permission_classes = [MemberPermission, ManagerPermission]

    @extend_schema(request=PublishInput, responses=ConfigSerializer, operation_id="workflow_publish")
    def post(self, request: Request, workspace: str, config_id: UUID) -> Response:
        _in_workspace(workspace, config_id)
        data = _checked(PublishInput(data=request.data))
        return Response(ConfigSerializer(config_publish(config_id=config_id, make_default=data["make_default"])).data)


def _checked(serializer: DraftInput | PublishInput) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


def _in_workspace(workspace: str, config_id: UUID) -> WorkflowConfig:
    config = config_get(config_id)
    if config.workspace_id != workspace:
        raise NotFound
    return config
