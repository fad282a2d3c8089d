"""Invitations over the API."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.api.permissions import ManagerPermission
from accounts_app.api.serializers import InvitationInput, InvitationOutput, SentInvitationOutput
from accounts_app.exceptions import NotFound
from accounts_app.selectors import invitation_list
from accounts_app.services.invitations import invitation_resend, invitation_revoke, invitation_send


class InvitationsView(APIView):
    pagination_class = KeysetPagination

    permission_classes = [ManagerPermission]

    @extend_schema(responses=InvitationOutput(many=True), operation_id="invitations_list")
    def get(self, request: Request) -> Response:
        """List the invitations that wait for an answer, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(invitation_list(), request, view=self)
        return pages.get_paginated_response(InvitationOutput(page, many=True).data)

    @extend_schema(request=InvitationInput, responses={201: SentInvitationOutput}, operation_id="invitations_create")
    def post(self, request: Request) -> Response:
        """Invite somebody by mail. An address invited before gets a new link; the old one stops."""
        given = InvitationInput(data=request.data)
        given.is_valid(raise_exception=True)
        sent = invitation_send(**given.validated_data, base_url=request.build_absolute_uri("/"))
        return Response(SentInvitationOutput(sent).data, status=status.HTTP_201_CREATED)


class InvitationView(APIView):
    permission_classes = [ManagerPermission]

    @extend_schema(responses=InvitationOutput, operation_id="invitations_retrieve")
    def get(self, request: Request, invitation_id: UUID) -> Response:
        """One invitation that waits for an answer."""
        invitation = invitation_list().filter(pk=invitation_id).first()
        if invitation is None:
            raise NotFound
        return Response(InvitationOutput(invitation).data)

    @extend_schema(responses={204: None}, operation_id="invitations_revoke")
    def delete(self, request: Request, invitation_id: UUID) -> Response:
        """Take an invitation back: its link stops."""
        invitation_revoke(invitation_id=invitation_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class InvitationResendView(APIView):
    permission_classes = [ManagerPermission]

    @extend_schema(request=None, responses={201: SentInvitationOutput}, operation_id="invitations_resend")
    def post(self, request: Request, invitation_id: UUID) -> Response:
        """Send a new link for another week; the old one stops."""
        sent = invitation_resend(invitation_id=invitation_id, base_url=request.build_absolute_uri("/"))
        return Response(SentInvitationOutput(sent).data, status=status.HTTP_201_CREATED)
