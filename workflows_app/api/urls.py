from django.urls import URLPattern, URLResolver, path

from workflows_app.api import executions_urls, schedules_urls, templates_urls
from workflows_app.api.views import PublishView, SchemaView, VersionsView, VersionView, WorkflowView

urlpatterns: list[URLPattern | URLResolver] = [
    path("workflows/schema", SchemaView.as_view(), name="workflow-schema"),
    path("workflows/<slug:workspace>", WorkflowView.as_view(), name="workflow-default"),
    path("workflows/<slug:workspace>/versions", VersionsView.as_view(), name="workflow-versions"),
    path("workflows/<slug:workspace>/versions/<uuid:config_id>", VersionView.as_view(), name="workflow-version"),
    path(
        "workflows/<slug:workspace>/versions/<uuid:config_id>/publish", PublishView.as_view(), name="workflow-publish"
    ),
    *executions_urls.urlpatterns,
    *schedules_urls.urlpatterns,
    *templates_urls.urlpatterns,
]
