from django.urls import URLPattern, URLResolver, path

from accounts_app.api.views import ApiKeysView, ApiKeyView

urlpatterns: list[URLPattern | URLResolver] = [
    path("keys/", ApiKeysView.as_view(), name="api-keys"),
    path("keys/<uuid:key_id>/", ApiKeyView.as_view(), name="api-key"),
]
