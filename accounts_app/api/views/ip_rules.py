"""IP rules over the API."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.api.permissions import ManagerPermission
from accounts_app.api.serializers import IpRuleInput, IpRuleOutput
from accounts_app.exceptions import NotFound
from accounts_app.selectors import ip_rules_all
from accounts_app.services.ip_rules import ip_rule_add, ip_rule_remove


class IpRulesView(APIView):
    pagination_class = KeysetPagination

    permission_classes = [ManagerPermission]

    @extend_schema(responses=IpRuleOutput(many=True), operation_id="ip_rules_list")
    def get(self, request: Request) -> Response:
        """List the rules of the organization, its projects and its keys, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(ip_rules_all(), request, view=self)
        return pages.get_paginated_response(IpRuleOutput(page, many=True).data)

    @extend_schema(request=IpRuleInput, responses={201: IpRuleOutput}, operation_id="ip_rules_create")
    def post(self, request: Request) -> Response:
        """Allow or deny an address or network: for all, or for one project or one key."""
        given = IpRuleInput(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(IpRuleOutput(ip_rule_add(**given.validated_data)).data, status=status.HTTP_201_CREATED)


class IpRuleView(APIView):
    permission_classes = [ManagerPermission]

    @extend_schema(responses=IpRuleOutput, operation_id="ip_rules_retrieve")
    def get(self, request: Request, rule_id: UUID) -> Response:
        """One rule."""
        rule = ip_rules_all().filter(pk=rule_id).first()
        if rule is None:
            raise NotFound
        return Response(IpRuleOutput(rule).data)

    @extend_schema(responses={204: None}, operation_id="ip_rules_delete")
    def delete(self, request: Request, rule_id: UUID) -> Response:
        """Take a rule away."""
        ip_rule_remove(rule_id=rule_id)
        return Response(status=status.HTTP_204_NO_CONTENT)
