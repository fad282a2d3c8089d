from django.urls import URLPattern, URLResolver, include, path

from workflows_app.web import runs_urls, schedules_urls, templates_urls

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((runs_urls.urlpatterns, "runs"))),
    path("", include((schedules_urls.urlpatterns, "schedules"))),
    path("", include((templates_urls.urlpatterns, "workflows"))),
]
