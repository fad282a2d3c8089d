"""IP rules: the organization's page, and what the lists on the pages of projects and keys do."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.models import IpRule
from accounts_app.selectors import ip_rules
from accounts_app.services.addresses import client_address
from accounts_app.services.ip_rules import ip_rule_add, ip_rule_remove
from accounts_app.web.forms import IpRuleForm
from accounts_app.web.mixins import ManagerMixin


class IpRulesView(ManagerMixin):
    """The rules for all keys and tokens of the organization; adding one, for it, a project or a key."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(IpRuleForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = IpRuleForm(request.POST)
        project_id, api_key_id = _id(request, "project"), _id(request, "api_key")
        if form.is_valid():
            try:
                rule = ip_rule_add(**form.cleaned_data, project_id=project_id, api_key_id=api_key_id)
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
            else:
                messages.success(request, _("The rule holds from the next call on."))
                return _back(rule)
        if project_id or api_key_id:
            messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
            return _back(IpRule(project_id=project_id, api_key_id=api_key_id))
        return self._page(form, status=400)

    def _page(self, form: IpRuleForm, *, status: int = 200) -> HttpResponse:
        address = client_address(self.request.headers, self.request.META.get("REMOTE_ADDR", ""))
        context = {"rules": ip_rules(), "rule_form": form, "address": address, "manages": True}
        return render(self.request, "accounts_app/ip_rules.html", context, status=status)


class IpRuleRemoveView(ManagerMixin):
    def post(self, request: HttpRequest, rule_id: UUID) -> HttpResponse:
        rule = ip_rule_remove(rule_id=rule_id)
        messages.success(request, _("The rule is gone."))
        return _back(rule)


def _back(rule: IpRule) -> HttpResponse:
    if rule.api_key_id:
        return redirect("accounts:key", rule.api_key_id)
    return redirect("accounts:project", rule.project_id) if rule.project_id else redirect("accounts:ip-rules")


def _id(request: HttpRequest, name: str) -> UUID | None:
    try:
        return UUID(request.POST[name]) if request.POST.get(name) else None
    except ValueError:
        raise NotFound from None
