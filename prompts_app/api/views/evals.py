"""Eval suites, cases and runs over REST."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from prompts_app.api.inputs import case_from, options_from
from prompts_app.api.serializers.evals import (
    CaseInput,
    CaseOutput,
    EvalInput,
    EvalOutput,
    EvalRunOutput,
    SuiteDetailOutput,
    SuiteInput,
    SuiteOutput,
)
from prompts_app.api.views.calls import IDEMPOTENCY
from prompts_app.api.views.prompts import PAGING
from prompts_app.models import EvalSuite
from prompts_app.selectors import cases_of, eval_runs, suite_get, suite_list
from prompts_app.services.evals import eval_run, eval_stored
from prompts_app.services.suites import case_create, suite_create


def suite_body(suite: EvalSuite) -> Any:
    """Return a suite with its cases."""
    suite.shown_cases = list(cases_of(suite))  # type: ignore[attr-defined]
    return SuiteDetailOutput(suite).data


class SuitesView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(parameters=PAGING, responses=SuiteOutput(many=True), operation_id="eval_suites_list")
    def get(self, request: Request) -> Response:
        """List the organization's eval suites and the shared ones, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(suite_list(), request, view=self)
        return pages.get_paginated_response(SuiteOutput(page, many=True).data)

    @extend_schema(request=SuiteInput, responses={201: SuiteDetailOutput}, operation_id="eval_suites_create")
    def post(self, request: Request) -> Response:
        """Make a suite with its cases."""
        given = SuiteInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = dict(given.validated_data)
        suite = suite_create(cases=[case_from(case) for case in body.pop("cases")], **body)
        headers = {"Location": reverse("api-eval-suite", kwargs={"suite_id": suite.pk})}
        return Response(suite_body(suite), status=status.HTTP_201_CREATED, headers=headers)


class SuiteView(APIView):
    @extend_schema(responses=SuiteDetailOutput, operation_id="eval_suites_retrieve")
    def get(self, request: Request, suite_id: UUID) -> Response:
        """One suite with its cases."""
        return Response(suite_body(suite_get(suite_id)))


class CasesView(APIView):
    @extend_schema(responses=CaseOutput(many=True), operation_id="eval_cases_list")
    def get(self, request: Request, suite_id: UUID) -> Response:
        """A suite's cases in their order."""
        return Response(CaseOutput(cases_of(suite_get(suite_id)), many=True).data)

    @extend_schema(request=CaseInput, responses={201: CaseOutput}, operation_id="eval_cases_create")
    def post(self, request: Request, suite_id: UUID) -> Response:
        """Add a case at the end of a suite."""
        suite_get(suite_id)
        given = CaseInput(data=request.data)
        given.is_valid(raise_exception=True)
        case = case_create(suite_id=suite_id, case=case_from(given.validated_data))
        return Response(CaseOutput(case).data, status=status.HTTP_201_CREATED)


class EvalRunView(APIView):
    """Not atomic: each case of a prompt version asks a model."""

    @extend_schema(parameters=[IDEMPOTENCY], request=EvalInput, responses=EvalOutput, operation_id="eval_run")
    def post(self, request: Request) -> Response:
        """Hold a suite against a text, or against what a prompt version writes for each of its cases."""
        given = EvalInput(data=request.data)
        given.is_valid(raise_exception=True)
        body = given.validated_data
        outcome = eval_run(
            suite_id=body["suite_id"],
            suite_key=body["suite_key"],
            prompt_version_id=body["version_id"],
            text=body["text"],
            options=options_from(request, body),
        )
        return Response(EvalOutput(outcome).data)


class EvalRunsView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(parameters=PAGING, responses=EvalRunOutput(many=True), operation_id="eval_runs_list")
    def get(self, request: Request) -> Response:
        """The organization's eval runs, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(eval_runs(), request, view=self)
        return pages.get_paginated_response(EvalRunOutput(page, many=True).data)


class EvalRunDetailView(APIView):
    @extend_schema(responses=EvalOutput, operation_id="eval_runs_retrieve")
    def get(self, request: Request, eval_run_id: UUID) -> Response:
        """One eval run with every case's result."""
        return Response(EvalOutput(eval_stored(eval_run_id)).data)
