from django.urls import include, path

urlpatterns = [
    path("", include("accounts_app.api.urls")),
    path("billing/", include("billing_app.api.urls")),
    path("", include("gateway_app.api.urls")),
    path("", include("prompts_app.api.urls")),
    path("", include("workflows_app.api.urls")),
    path("", include("tasks_app.api.urls")),
    path("", include("accounts_app.api.docs")),
]
