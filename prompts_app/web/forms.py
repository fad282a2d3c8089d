"""Forms for prompts, versions and trying them out. All of them work without JavaScript."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.forms.formsets import BaseFormSet
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from prompts_app.contracts import VariableSpec
from prompts_app.models import Language, PromptCategory, PromptVersion
from prompts_app.services.content import MAX_CONTENT_CHARS, MAX_MESSAGES, MAX_VARIABLES, ROLES
from prompts_app.services.prompts import VersionDraft
from prompts_app.services.rewrites import MAX_INSTRUCTION_CHARS

_PREFIX = "value-"
_ROLE_NAMES = {"system": _("System"), "developer": _("Developer"), "user": _("User"), "assistant": _("Assistant")}


class PromptForm(forms.Form):
    """What a prompt is called; its key is chosen once, when it is made."""

    name = forms.CharField(label=_("Name"), max_length=120)
    key = forms.CharField(
        label=_("Key"),
        max_length=80,
        required=False,
        help_text=_("What programs ask for. Without one, it is made from the name; it never changes."),
    )
    description = forms.CharField(
        label=_("Description"), max_length=4_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    category = forms.ChoiceField(label=_("Category"), choices=PromptCategory.choices, initial=PromptCategory.TASK)

    def __init__(self, *args: Any, with_key: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_key:
            del self.fields["key"]


class MessageForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=[(role, _ROLE_NAMES[role]) for role in ROLES], initial="user")
    content = forms.CharField(
        label=_("Text"),
        required=False,
        strip=False,
        max_length=MAX_CONTENT_CHARS,
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono"}),
    )


class VariableForm(forms.Form):
    name = forms.CharField(label=_("Name"), required=False, max_length=64)
    description = forms.CharField(label=_("Description"), required=False, max_length=400)
    default = forms.CharField(label=_("Default"), required=False, strip=False)
    required = forms.BooleanField(label=_("Required"), required=False, initial=True)
    trusted = forms.BooleanField(
        label=_("Trusted"), required=False, help_text=_("The value is ours, not a stranger's.")
    )


MessageFormSet = forms.formset_factory(MessageForm, extra=1, max_num=MAX_MESSAGES, absolute_max=MAX_MESSAGES)
VariableFormSet = forms.formset_factory(VariableForm, extra=1, max_num=MAX_VARIABLES, absolute_max=MAX_VARIABLES)


class SettingsForm(forms.Form):
    language = forms.ChoiceField(label=_("Language"), choices=Language.choices, required=False)
    model = forms.CharField(
        label=_("Model"), max_length=120, required=False, help_text=_("Empty for the default model.")
    )
    temperature = forms.FloatField(label=_("Temperature"), min_value=0, max_value=2, required=False)
    max_tokens = forms.IntegerField(label=_("Longest answer (tokens)"), min_value=1, max_value=200_000, required=False)
    notes = forms.CharField(
        label=_("Notes"), max_length=4_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )


class VersionForm:
    """Messages, variables and settings as one form."""

    def __init__(self, data: QueryDict | None = None, version: PromptVersion | None = None) -> None:
        shown = version if data is None else None
        self.messages = MessageFormSet(data, prefix="messages", initial=shown.messages if shown else None)
        self.variables = VariableFormSet(data, prefix="variables", initial=shown.variables if shown else None)
        self.settings = SettingsForm(data, prefix="settings", initial=_settings_of(shown) if shown else None)
        self.parent = version
        self.errors: list[str] = []

    def is_valid(self) -> bool:
        """Whether the fields are; the services check the content."""
        return all([self.messages.is_valid(), self.variables.is_valid(), self.settings.is_valid()])

    def draft(self) -> VersionDraft:
        """Return the version that was typed in. Variables that the messages use are declared by themselves."""
        settings = self.settings.cleaned_data
        parameters = dict(self.parent.parameters) if self.parent else {}
        parameters = {name: value for name, value in parameters.items() if name not in ("temperature", "max_tokens")}
        chosen = {name: settings[name] for name in ("temperature", "max_tokens") if settings[name] is not None}
        return VersionDraft(
            messages=_rows(self.messages, "content", ("role", "content")),
            variables=_rows(self.variables, "name", ("name", "description", "default", "required", "trusted")),
            declare_used=True,
            language=settings["language"],
            model=settings["model"],
            parameters={**parameters, **chosen},
            notes=settings["notes"],
            parent_id=self.parent.pk if self.parent else None,
        )


def _settings_of(version: PromptVersion) -> dict[str, Any]:
    named = {name: version.parameters.get(name) for name in ("temperature", "max_tokens")}
    return {"language": version.language, "model": version.model, **named}


def _rows(formset: "BaseFormSet[Any]", needed: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    # A row that was left empty is no row. Browsers send line ends as CRLF.
    rows = [form.cleaned_data for form in formset.forms if form.cleaned_data.get(needed, "").strip()]
    return [{name: _unix(row[name]) for name in names} for row in rows]


def _unix(value: Any) -> Any:
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


class TryForm(forms.Form):
    """One field for each variable of a version."""

    def __init__(self, specs: Iterable[VariableSpec], data: QueryDict | None = None, *, translate: bool) -> None:
        super().__init__(data)
        for spec in specs:
            described = gettext(spec.description) if translate and spec.description else spec.description
            self.fields[_PREFIX + spec.name] = forms.CharField(
                label=spec.name,
                required=spec.required and not spec.default,
                strip=False,
                max_length=200_000,
                initial=spec.default,
                help_text=described,
                widget=forms.Textarea(attrs={"rows": 2}),
            )

    def values(self) -> dict[str, str]:
        """Return the values by variable."""
        return {name.removeprefix(_PREFIX): _unix(value) for name, value in self.cleaned_data.items()}


class RewriteForm(forms.Form):
    instruction = forms.CharField(
        label=_("What should change?"),
        max_length=MAX_INSTRUCTION_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("The linter's findings go along by themselves."),
    )
