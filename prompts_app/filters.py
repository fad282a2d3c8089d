"""Filters of the prompt list, in the address of page and API alike."""

import django_filters
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from prompts_app.models import Prompt, PromptCategory

STATES = [("published", _("Published")), ("draft", _("Draft"))]
OWNERS = [("own", _("Ours")), ("shared", _("Shared with everyone"))]


class PromptFilter(django_filters.FilterSet):  # type: ignore[misc]
    """For querysets of `selectors.prompt_list`."""

    q = django_filters.CharFilter(method="by_words", label=_("Search"), max_length=200)
    category = django_filters.ChoiceFilter(choices=PromptCategory.choices, label=_("Category"), empty_label=_("Any"))
    status = django_filters.ChoiceFilter(choices=STATES, method="by_status", label=_("Status"), empty_label=_("Any"))
    owner = django_filters.ChoiceFilter(choices=OWNERS, method="by_owner", label=_("Owner"), empty_label=_("Anyone"))
    workspace = django_filters.CharFilter(field_name="workspace_key", label=_("Workspace"), max_length=20)

    class Meta:
        model = Prompt
        fields: list[str] = []

    def by_words(self, queryset: QuerySet[Prompt], name: str, value: str) -> QuerySet[Prompt]:
        for word in value.split()[:8]:
            matches = Q(name__icontains=word) | Q(key__icontains=word) | Q(description__icontains=word)
            queryset = queryset.filter(matches)
        return queryset

    def by_status(self, queryset: QuerySet[Prompt], name: str, value: str) -> QuerySet[Prompt]:
        return queryset.filter(Q(("is_live", value == "published")))

    def by_owner(self, queryset: QuerySet[Prompt], name: str, value: str) -> QuerySet[Prompt]:
        return queryset.filter(organization_id__isnull=value == "shared")
