"""Projects over the API."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.api.serializers import ProjectChange, ProjectInput, ProjectOutput
from accounts_app.exceptions import NotFound
from accounts_app.models import Project
from accounts_app.selectors import project_list
from accounts_app.services.projects import project_archive, project_change, project_create, project_restore


class ProjectsView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(responses=ProjectOutput(many=True), operation_id="projects_list")
    def get(self, request: Request) -> Response:
        """List the organization's projects, archived ones too, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(project_list(), request, view=self)
        return pages.get_paginated_response(ProjectOutput(page, many=True).data)

    @extend_schema(request=ProjectInput, responses={201: ProjectOutput}, operation_id="projects_create")
    def post(self, request: Request) -> Response:
        """Make a project."""
        given = ProjectInput(data=request.data)
        given.is_valid(raise_exception=True)
        project = project_create(**given.validated_data)
        return Response(ProjectOutput(project).data, status=status.HTTP_201_CREATED)


class ProjectView(APIView):
    @extend_schema(responses=ProjectOutput, operation_id="projects_retrieve")
    def get(self, request: Request, project_id: UUID) -> Response:
        """One project."""
        return Response(ProjectOutput(_project(project_id)).data)

    @extend_schema(request=ProjectChange, responses=ProjectOutput, operation_id="projects_change")
    def patch(self, request: Request, project_id: UUID) -> Response:
        """Rename or describe a project, or decide about its logs. What is not named stays."""
        project = _project(project_id)
        given = ProjectChange(data=request.data)
        given.is_valid(raise_exception=True)
        fields = {name: getattr(project, name) for name in ("name", "description", "log_prompts")}
        changed = project_change(project_id=project_id, **fields | given.validated_data)
        return Response(ProjectOutput(changed).data)


class ProjectArchiveView(APIView):
    @extend_schema(request=None, responses=ProjectOutput, operation_id="projects_archive")
    def post(self, request: Request, project_id: UUID) -> Response:
        """Put a project away: its keys are refused, its figures stay. Again changes nothing."""
        return Response(ProjectOutput(project_archive(project_id=project_id)).data)


class ProjectRestoreView(APIView):
    @extend_schema(request=None, responses=ProjectOutput, operation_id="projects_restore")
    def post(self, request: Request, project_id: UUID) -> Response:
        """Take an archived project back; its keys work again."""
        return Response(ProjectOutput(project_restore(project_id=project_id)).data)


def _project(project_id: UUID) -> Project:
    project = project_list().filter(pk=project_id).first()
    if project is None:
        raise NotFound
    return project
