from django import forms
from django.utils.translation import gettext_lazy as _

from tasks_app.models import TaskStatus
from workflows_app.selectors import workspace_list


class TaskFilterForm(forms.Form):
    """The dashboard's filters; what cannot be understood filters nothing."""

    q = forms.CharField(
        label=_("Words of the title"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Words of the title")}),
    )
    status = forms.ChoiceField(label=_("Status"), required=False, choices=[("", _("Any status")), *TaskStatus.choices])
    workspace = forms.ChoiceField(
        label=_("Workspace"),
        required=False,
        choices=lambda: [("", _("Any workspace")), *((item.key, item.name) for item in workspace_list())],
    )

    def chosen(self) -> dict[str, str]:
        """Return the filters that are set and valid."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}
