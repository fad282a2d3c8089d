from datetime import datetime, timedelta

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts_app.models import Role
from accounts_app.services.api_keys import NAME_LENGTH as KEY_NAME_LENGTH
from accounts_app.services.organizations import NAME_LENGTH


class ApiKeyForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=KEY_NAME_LENGTH, help_text=_("What uses this key, for example “nightly report”.")
    )
    lifetime_days = forms.TypedChoiceField(
        label=_("Expires"),
        choices=[
            (30, _("in 30 days")),
            (90, _("in 90 days")),
            (365, _("in one year")),
            (0, pgettext_lazy("expires", "never")),
        ],
        coerce=int,
        initial=90,
    )

    def expires_at(self) -> datetime | None:
        """Return the moment chosen, or None for a key that does not expire."""
        days: int = self.cleaned_data["lifetime_days"]
        return timezone.now() + timedelta(days=days) if days else None


class MemberForm(forms.Form):
    email = forms.EmailField(label=_("E-mail address"), help_text=_("Of someone who has an account here."))
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.MEMBER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class OrganizationForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH)
