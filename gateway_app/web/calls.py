"""Pieces about model calls that pages of lower rooms load."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts_app.exceptions import NotFound
from accounts_app.web.mixins import OrganizationMixin
from gateway_app.selectors import call_detail


class CallAttemptsView(OrganizationMixin):
    """The attempts of a call, in the order in which they were made; beside its usage record.

    Usage is kept longer than calls are: of one that has gone there is nothing to show.
    """

    def get(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        try:
            call = call_detail(call_id)
        except NotFound:
            return HttpResponse()
        return render(request, "gateway_app/_attempts.html", {"call": call})
