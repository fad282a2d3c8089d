"""The pages of budgets: how much of each is taken; make, change and remove one."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import DeepSpaceError
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import ManagerMixin, OrganizationMixin
from billing_app.models import BudgetAction, BudgetPeriod
from billing_app.selectors.budgets import BudgetState, budget_state, budget_states
from billing_app.selectors.names import Names, names_known
from billing_app.selectors.subjects import subject_choices, subject_named, subject_parsed
from billing_app.services.budgets import budget_change, budget_remove, budget_set


class BudgetForm(forms.Form):
    """What can be changed of a budget."""

    limit_usd = forms.DecimalField(
        label=gettext_lazy("Limit (USD)"),
        max_digits=20,
        decimal_places=10,
        min_value=0,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
        help_text=gettext_lazy("Never passed: a call that might cost more than what is left does not begin."),
    )
    soft_percent = forms.IntegerField(
        label=gettext_lazy("Warn at (%)"),
        min_value=1,
        max_value=100,
        initial=80,
        help_text=gettext_lazy("From here on owners and admins see a red dot and are written an e-mail."),
    )
    on_exceed = forms.ChoiceField(
        label=gettext_lazy("At the limit"),
        choices=BudgetAction.choices,
        initial=BudgetAction.REFUSE,
        help_text=gettext_lazy(
            "The cheaper model is the one that the catalogue names; if even that does not fit, the call is refused."
        ),
    )
    is_active = forms.BooleanField(
        label=gettext_lazy("Active"),
        required=False,
        initial=True,
        help_text=gettext_lazy("While it is not, it refuses nothing and goes on counting."),
    )


class NewBudgetForm(BudgetForm):
    """Also whose budget it is, and for how long; both stay as they are."""

    subject = forms.ChoiceField(label=gettext_lazy("Whose spending"))
    period = forms.ChoiceField(
        label=gettext_lazy("In each"),
        choices=BudgetPeriod.choices,
        initial=BudgetPeriod.MONTH,
        help_text=gettext_lazy("Days and months begin at midnight UTC."),
    )
    field_order = ["subject", "period", "limit_usd", "soft_percent", "on_exceed", "is_active"]

    def __init__(self, *args: Any, names: Names, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["subject"].choices = subject_choices(names)  # type: ignore[attr-defined]


class BudgetsView(OrganizationMixin):
    def get(self, request: HttpRequest) -> HttpResponse:
        names = names_known()
        states = budget_states(current_organization_id(), timezone.now().date())
        context = {
            "budgets": [(state, subject_named(names, state.budget.scope, state.budget.subject_id)) for state in states],
            "may_manage": can_manage(self.tenant),
        }
        return render(request, "billing_app/budgets.html", context)


class BudgetNewView(ManagerMixin):
    def get(self, request: HttpRequest) -> HttpResponse:
        initial = {"subject": request.GET.get("subject", "organization")}
        return self._page(NewBudgetForm(names=names_known(), initial=initial))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NewBudgetForm(request.POST, names=names_known())
        if not form.is_valid():
            return self._page(form, status=400)
        scope, subject_id = subject_parsed(form.cleaned_data.pop("subject"))
        try:
            budget_set(scope=scope, subject_id=subject_id, **form.cleaned_data)
        except DeepSpaceError as error:
            form.add_error(None, error.message)
            return self._page(form, status=error.status)
        messages.success(request, _("The budget holds from the next call on."))
        return redirect("billing:budgets")

    def _page(self, form: forms.Form, status: int = 200) -> HttpResponse:
        return render(self.request, "billing_app/budget_form.html", {"form": form}, status=status)


class BudgetEditView(ManagerMixin):
    def get(self, request: HttpRequest, budget_id: UUID) -> HttpResponse:
        state = _state(budget_id)
        budget = state.budget
        initial = {name: getattr(budget, name) for name in ("soft_percent", "on_exceed", "is_active")}
        form = BudgetForm(initial={**initial, "limit_usd": f"{budget.limit_usd.normalize():f}"})
        return self._page(form, state)

    def post(self, request: HttpRequest, budget_id: UUID) -> HttpResponse:
        form, state = BudgetForm(request.POST), _state(budget_id)
        if not form.is_valid():
            return self._page(form, state, status=400)
        budget_change(budget_id=budget_id, **form.cleaned_data)
        messages.success(request, _("The budget holds as changed from the next call on."))
        return redirect("billing:budgets")

    def _page(self, form: forms.Form, state: BudgetState, status: int = 200) -> HttpResponse:
        context = {"form": form, "state": state, "name": _name(state)}
        return render(self.request, "billing_app/budget_form.html", context, status=status)


class BudgetRemoveView(ManagerMixin):
    """Ask, then remove."""

    def get(self, request: HttpRequest, budget_id: UUID) -> HttpResponse:
        state = _state(budget_id)
        return render(request, "billing_app/budget_remove.html", {"state": state, "name": _name(state)})

    def post(self, request: HttpRequest, budget_id: UUID) -> HttpResponse:
        budget_remove(budget_id=budget_id)
        messages.success(request, _("The budget was removed."))
        return redirect("billing:budgets")


def _state(budget_id: UUID) -> BudgetState:
    return budget_state(current_organization_id(), budget_id, timezone.now().date())


def _name(state: BudgetState) -> str:
    return subject_named(names_known(), state.budget.scope, state.budget.subject_id)
