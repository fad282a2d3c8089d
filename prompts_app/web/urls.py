from django.urls import URLPattern, URLResolver, include, path

from accounts_app.middleware import non_atomic
from prompts_app.web import calls, editor, views

_PROMPT = "prompts/<uuid:prompt_id>"
_VERSION = f"{_PROMPT}/versions/<uuid:version_id>"

_pages = [
    path("prompts/", views.ListView.as_view(), name="list"),
    path("prompts/new/", editor.PromptNewView.as_view(), name="new"),
    path(f"{_PROMPT}/", views.DetailView.as_view(), name="detail"),
    path(f"{_PROMPT}/settings/", views.SettingsView.as_view(), name="settings"),
    path(f"{_PROMPT}/compare/", views.CompareView.as_view(), name="compare"),
    path(f"{_PROMPT}/copy/", views.CopyView.as_view(), name="copy"),
    path(f"{_PROMPT}/versions/new/", editor.VersionNewView.as_view(), name="version-new"),
    path(f"{_VERSION}/publish/", views.PublishView.as_view(), name="publish"),
    path(f"{_VERSION}/try/", non_atomic(calls.TryView.as_view()), name="try"),
    path(f"{_VERSION}/rewrite/", non_atomic(calls.RewriteView.as_view()), name="rewrite"),
]

urlpatterns: list[URLPattern | URLResolver] = [path("", include((_pages, "prompts")))]
