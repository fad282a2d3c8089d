from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("", include("accounts_app.api.urls")),
    path("billing/", include("billing_app.api.urls")),
    path("", include("gateway_app.api.urls")),
    path("", include("prompts_app.api.urls")),
    path("", include("workflows_app.api.urls")),
    path("", include("tasks_app.api.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]
