from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts_app.web.urls")),
    path("", include("billing_app.web.urls")),
    path("", include("gateway_app.web.urls")),
    path("", include("prompts_app.web.urls")),
    path("", include("workflows_app.web.urls")),
    path("", include("tasks_app.web.urls")),
    path("api/", include("config.api_urls")),
]

handler400 = "accounts_app.web.errors.bad_request"
handler403 = "accounts_app.web.errors.forbidden"
handler404 = "accounts_app.web.errors.not_found"
handler429 = "accounts_app.web.errors.too_many_requests"
handler500 = "accounts_app.web.errors.server_error"
