"""The pages of rate limits: see them, set one, remove one. They stand beside the pages about money."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import DeepSpaceError, NotFound
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import ManagerMixin, OrganizationMixin
from billing_app.selectors.names import Names, names_known
from billing_app.selectors.subjects import ORGANIZATION, subject_choices, subject_named, subject_parsed
from gateway_app.models import RateLimit
from gateway_app.services.limits import rate_limit_remove, rate_limit_set


class FiguresForm(forms.Form):
    """How much in any minute; an empty figure is not limited."""

    requests_per_minute = forms.IntegerField(
        label=gettext_lazy("Requests per minute"), required=False, min_value=1, max_value=2**31 - 1
    )
    tokens_per_minute = forms.IntegerField(
        label=gettext_lazy("Tokens per minute"),
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text=gettext_lazy("Counted with the most that a call may use, and corrected when it has ended."),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a limit that limits nothing."""
        figures = super().clean() or {}
        if not self.errors and not any(figures.get(name) for name in ("requests_per_minute", "tokens_per_minute")):
            raise forms.ValidationError(_("Limit the requests, the tokens, or both."))
        return figures


class NewLimitForm(FiguresForm):
    subject = forms.ChoiceField(label=gettext_lazy("Whose calls"))
    field_order = ["subject", "requests_per_minute", "tokens_per_minute"]

    def __init__(self, *args: Any, names: Names, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["subject"].choices = subject_choices(names)  # type: ignore[attr-defined]


class LimitsView(OrganizationMixin):
    def get(self, request: HttpRequest) -> HttpResponse:
        names = names_known()
        limits = RateLimit.objects.filter(organization_id=current_organization_id()).order_by("created_at")
        order = ["organization", "project", "member", "key"]
        ordered = sorted(limits, key=lambda limit: order.index(limit.scope))
        context = {
            "limits": [(limit, _subject(names, limit)) for limit in ordered],
            "may_manage": can_manage(self.tenant),
        }
        return render(request, "gateway_app/limits.html", context)


class LimitNewView(ManagerMixin):
    def get(self, request: HttpRequest) -> HttpResponse:
        initial = {"subject": request.GET.get("subject", ORGANIZATION)}
        return self._page(NewLimitForm(names=names_known(), initial=initial))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NewLimitForm(request.POST, names=names_known())
        if not form.is_valid():
            return self._page(form, status=400)
        scope, subject_id = subject_parsed(form.cleaned_data.pop("subject"))
        try:
            rate_limit_set(scope=scope, subject_id=subject_id, **form.cleaned_data)
        except DeepSpaceError as error:
            form.add_error(None, error.message)
            return self._page(form, status=error.status)
        messages.success(request, _("The limit holds from the next call on."))
        return redirect("gateway:limits")

    def _page(self, form: forms.Form, status: int = 200) -> HttpResponse:
        return render(self.request, "gateway_app/limit_form.html", {"form": form}, status=status)


class LimitEditView(ManagerMixin):
    def get(self, request: HttpRequest, limit_id: UUID) -> HttpResponse:
        limit = _limit(limit_id)
        figures = {name: getattr(limit, name) for name in ("requests_per_minute", "tokens_per_minute")}
        return self._page(FiguresForm(initial=figures), limit)

    def post(self, request: HttpRequest, limit_id: UUID) -> HttpResponse:
        form, limit = FiguresForm(request.POST), _limit(limit_id)
        if not form.is_valid():
            return self._page(form, limit, status=400)
        rate_limit_set(scope=limit.scope, subject_id=limit.subject_id, **form.cleaned_data)
        messages.success(request, _("The limit holds from the next call on."))
        return redirect("gateway:limits")

    def _page(self, form: forms.Form, limit: RateLimit, status: int = 200) -> HttpResponse:
        context = {"form": form, "limit": limit, "name": _subject(names_known(), limit)}
        return render(self.request, "gateway_app/limit_form.html", context, status=status)


class LimitRemoveView(ManagerMixin):
    """Ask, then remove."""

    def get(self, request: HttpRequest, limit_id: UUID) -> HttpResponse:
        limit = _limit(limit_id)
        context = {"limit": limit, "name": _subject(names_known(), limit)}
        return render(request, "gateway_app/limit_remove.html", context)

    def post(self, request: HttpRequest, limit_id: UUID) -> HttpResponse:
        rate_limit_remove(rate_limit_id=limit_id)
        messages.success(request, _("The limit was removed."))
        return redirect("gateway:limits")


def _limit(limit_id: UUID) -> RateLimit:
    limit = RateLimit.objects.filter(organization_id=current_organization_id(), pk=limit_id).first()
    if limit is None:
        raise NotFound
    return limit


def _subject(names: Names, limit: RateLimit) -> str:
    return subject_named(names, limit.scope, limit.subject_id)
