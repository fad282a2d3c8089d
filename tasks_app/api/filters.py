import django_filters
from django.db.models import QuerySet

from tasks_app.models import Task, TaskStatus
from workflows_app.selectors import workspace_list


class TaskFilter(django_filters.FilterSet):  # type: ignore[misc]
    """``status``, ``workspace`` and ``q`` (words of the title)."""

    status = django_filters.ChoiceFilter(choices=TaskStatus.choices)
    workspace = django_filters.ChoiceFilter(
        field_name="workspace_key",
        choices=lambda: [(item.key, item.name) for item in workspace_list(active_only=False)],
    )
    q = django_filters.CharFilter(method="filter_words")

    class Meta:
        model = Task
        fields = ["status", "workspace", "q"]

    def filter_words(self, queryset: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        """Keep the tasks whose title has every word of ``value``."""
        for word in value.split()[:8]:
            queryset = queryset.filter(title__icontains=word)
        return queryset
