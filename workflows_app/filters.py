"""Filters of the template list, in the address of page and API alike."""

import django_filters
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from workflows_app.models import ConfigStatus, WorkflowConfig

OWNERS = [("own", _("Ours")), ("shared", _("Shared with everyone"))]


class TemplateFilter(django_filters.FilterSet):  # type: ignore[misc]
    """For querysets of `reads.templates.template_list`."""

    q = django_filters.CharFilter(method="by_words", label=_("Search"), max_length=200)
    status = django_filters.ChoiceFilter(choices=ConfigStatus.choices, label=_("Status"), empty_label=_("Any"))
    owner = django_filters.ChoiceFilter(choices=OWNERS, method="by_owner", label=_("Owner"), empty_label=_("Anyone"))
    workspace = django_filters.CharFilter(field_name="workspace_id", label=_("Workspace"), max_length=20)
    name = django_filters.CharFilter(field_name="name", label=_("Name"), max_length=120)
    is_default = django_filters.BooleanFilter(label=_("Default"))

    class Meta:
        model = WorkflowConfig
        fields: list[str] = []

    def by_words(self, queryset: QuerySet[WorkflowConfig], name: str, value: str) -> QuerySet[WorkflowConfig]:
        for word in value.split()[:8]:
            matches = Q(name__icontains=word) | Q(description__icontains=word) | Q(version__startswith=word)
            queryset = queryset.filter(matches)
        return queryset

    def by_owner(self, queryset: QuerySet[WorkflowConfig], name: str, value: str) -> QuerySet[WorkflowConfig]:
        return queryset.filter(organization_id__isnull=value == "shared")
