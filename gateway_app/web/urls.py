from django.urls import URLPattern, URLResolver, include, path

from gateway_app.web import calls, limits

_pages = [
    path("limits/", limits.LimitsView.as_view(), name="limits"),
    path("limits/new/", limits.LimitNewView.as_view(), name="limit-new"),
    path("limits/<uuid:limit_id>/", limits.LimitEditView.as_view(), name="limit-edit"),
    path("limits/<uuid:limit_id>/remove/", limits.LimitRemoveView.as_view(), name="limit-remove"),
    path("calls/<uuid:call_id>/attempts/", calls.CallAttemptsView.as_view(), name="call-attempts"),
]

urlpatterns: list[URLPattern | URLResolver] = [path("wallet/", include((_pages, "gateway")))]
