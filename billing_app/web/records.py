"""Every ledger entry and every model call, filtered as the address says."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import NotFound
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app import selectors
from billing_app.filters import RecordFilter, TransactionFilter, UsageFilter
from billing_app.selectors.names import Names, names_known
from billing_app.web.arithmetic import cost_lines
from billing_app.web.pages import keyset_page


class RecordsView(OrganizationMixin):
    """Base of both lists. A filter that is not understood is named beside its field, with status 400."""

    template = ""

    def get(self, request: HttpRequest) -> HttpResponse:
        found = self.found()
        context = {
            "filter": found,
            "chosen": found.chosen(),
            "may_manage": can_manage(self.tenant),
            **self.listed(found),
        }
        response = render(request, self.template, context, status=200 if found.form.is_valid() else 400)
        add_never_cache_headers(response)
        return response

    def found(self) -> RecordFilter:
        raise NotImplementedError

    def listed(self, found: RecordFilter) -> dict[str, Any]:
        raise NotImplementedError


class TransactionsView(RecordsView):
    template = "billing_app/transactions.html"

    def found(self) -> RecordFilter:
        return TransactionFilter(self.request.GET, selectors.transactions(current_organization_id()))

    def listed(self, found: RecordFilter) -> dict[str, Any]:
        _offer(found, names_known())
        page = keyset_page(self.request, found.qs, ("seq",), oldest_first=found.is_oldest_first)
        tasks = selectors.tasks_of_calls(current_organization_id(), {row.billing_ref_id for row in page.rows})
        return {"page": page, "entries": [(row, tasks.get(row.billing_ref_id)) for row in page.rows]}


class UsageView(RecordsView):
    template = "billing_app/usage.html"

    def found(self) -> RecordFilter:
        return UsageFilter(self.request.GET, selectors.usage_records(current_organization_id()))

    def listed(self, found: RecordFilter) -> dict[str, Any]:
        names = names_known()
        _offer(found, names)
        page = keyset_page(self.request, found.qs, ("created_at", "id"), oldest_first=found.is_oldest_first)
        rows = [(row, names.key(row.api_key_id) if row.api_key_id else "") for row in page.rows]
        return {"page": page, "rows": rows, "models": selectors.models_used(current_organization_id())}


class UsageDetailView(OrganizationMixin):
    """One model call: its tokens by bucket, and how its cost follows from the price."""

    def get(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        records = selectors.usage_records(current_organization_id()).select_related("price")
        record = records.filter(pk=record_id).first()
        if record is None:
            raise NotFound
        names = names_known()
        context = {
            "record": record,
            "lines": cost_lines(record),
            "key": names.key(record.api_key_id),
            "project": names.project(record.project_id),
            "member": names.member(record.user_id),
            "may_manage": can_manage(self.tenant),
        }
        return render(request, "billing_app/usage_detail.html", context)


def _offer(found: RecordFilter, names: Names) -> None:
    """Let people choose by name what programs filter by id; an id that is not on offer stays chosen."""
    offers = {"project": names.projects, "key": names.keys, "member": names.members}
    for field in offers.keys() & found.form.fields.keys():
        known = offers[field]
        asked = found.data.get(field) or ""
        choices: list[tuple[str, Any]] = [("", _("All")), *((str(pk), name) for pk, name in known.items())]
        if asked and asked not in dict(choices):
            choices.append((asked, asked))
        found.form.fields[field].widget = forms.Select(choices=choices)
