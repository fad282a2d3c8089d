from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts_app.models import ApiKey, IpAction, Project, Role, Scope
from accounts_app.selectors import project_choices
from accounts_app.services.api_keys import NAME_LENGTH as KEY_NAME_LENGTH
from accounts_app.services.ip_rules import NOTE_LENGTH
from accounts_app.services.organizations import NAME_LENGTH
from accounts_app.services.projects import DESCRIPTION_LENGTH
from accounts_app.services.projects import NAME_LENGTH as PROJECT_NAME_LENGTH

LIFETIMES = [
    (30, _("in 30 days")),
    (90, _("in 90 days")),
    (365, _("in one year")),
    (0, pgettext_lazy("expires", "never")),
]
AS_IT_IS = -1


class ApiKeyForm(forms.Form):
    """A new key. The bound organization's projects are offered."""

    name = forms.CharField(
        label=_("Name"), max_length=KEY_NAME_LENGTH, help_text=_("What uses this key, for example “nightly report”.")
    )
    project = forms.ModelChoiceField(
        label=_("Project"), queryset=Project.objects.none(), required=False, empty_label=_("none")
    )
    scopes = forms.MultipleChoiceField(
        label=_("It may"), choices=Scope.choices, initial=list(Scope.values), widget=forms.CheckboxSelectMultiple
    )
    models = forms.CharField(
        label=_("Models allowed"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "gpt-5*"}),
        help_text=_("One a line; * stands for anything. Empty: every model."),
    )
    lifetime_days = forms.TypedChoiceField(label=_("Expires"), choices=LIFETIMES, coerce=int, initial=90)

    def __init__(self, *args: Any, also: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["project"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = project_choices(also=also)

    def key_fields(self) -> dict[str, Any]:
        """Return the arguments of the service; raises nothing once the form is valid."""
        project: Project | None = self.cleaned_data["project"]
        return {
            "name": self.cleaned_data["name"],
            "project_id": project.pk if project else None,
            "scopes": self.cleaned_data["scopes"],
            "models": self.cleaned_data["models"].split(),
            "expires_at": self.expires_at(),
        }

    def expires_at(self) -> datetime | None:
        """Return the moment chosen, or None for a key that does not expire."""
        days: int = self.cleaned_data["lifetime_days"]
        return timezone.now() + timedelta(days=days) if days else None


class ApiKeyChangeForm(ApiKeyForm):
    """An old key, whose expiry stays unless another is chosen."""

    def __init__(self, *args: Any, api_key: ApiKey, **kwargs: Any) -> None:
        initial = {
            "name": api_key.name,
            "project": api_key.project_id,
            "scopes": api_key.scopes,
            "models": "\n".join(api_key.models),
            "lifetime_days": AS_IT_IS,
        }
        super().__init__(*args, initial=initial, also=api_key.project_id, **kwargs)
        field = self.fields["lifetime_days"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(AS_IT_IS, _("as it is")), *LIFETIMES]
        self.api_key = api_key

    def expires_at(self) -> datetime | None:
        if self.cleaned_data["lifetime_days"] == AS_IT_IS:
            return self.api_key.expires_at
        return super().expires_at()


class RotateForm(forms.Form):
    grace_hours = forms.TypedChoiceField(
        label=_("The old secret"),
        choices=[
            (0, _("stops at once")),
            (1, _("works for another hour")),
            (24, _("works for another day")),
            (168, _("works for another week")),
        ],
        coerce=int,
        initial=24,
    )


class ProjectForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=PROJECT_NAME_LENGTH)
    description = forms.CharField(
        label=_("Description"),
        max_length=DESCRIPTION_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    log_prompts = forms.BooleanField(
        label=_("Prompts in logs"),
        required=False,
        help_text=_(
            "Writes what is sent to models and what they answer into this system's logs, for finding faults. "
            "Off unless you need it."
        ),
    )


class IpRuleForm(forms.Form):
    network = forms.CharField(
        label=_("Address or network"),
        max_length=60,
        help_text=_("For example 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32."),
    )
    action = forms.ChoiceField(label=_("Action"), choices=IpAction.choices, initial=IpAction.ALLOW)
    note = forms.CharField(label=_("Note"), max_length=NOTE_LENGTH, required=False)


class MemberForm(forms.Form):
    email = forms.EmailField(label=_("E-mail address"))
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.MEMBER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class OrganizationForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH)
