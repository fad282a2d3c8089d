"""How an organization's executions have gone: loaded into the page of its runs."""

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from accounts_app.web.mixins import OrganizationMixin
from workflows_app.reads.statistics import executions_statistics

DAYS = 30
# More templates than that are for the API.
_TEMPLATES = 8


class StatisticsView(OrganizationMixin):
    """The last days' figures, of all templates or of the one named ``?template=``."""

    def get(self, request: HttpRequest) -> HttpResponse:
        assert self.tenant.organization_id is not None
        today = datetime.now(UTC).date()
        figures = executions_statistics(
            organization_id=self.tenant.organization_id,
            since=today - timedelta(days=DAYS - 1),
            until=today,
            template=request.GET.get("template", ""),
        )
        context = {"figures": figures, "templates": figures.per_template[:_TEMPLATES], "days": DAYS}
        response = render(request, "workflows_app/runs/_statistics.html", context)
        add_never_cache_headers(response)
        return response
