from django.urls import URLPattern, URLResolver, path

from gateway_app.api.limits import RateLimitsView, RateLimitView
from gateway_app.api.models import ModelsView
from gateway_app.api.streams import stream_events

urlpatterns: list[URLPattern | URLResolver] = [
    path("models", ModelsView.as_view(), name="models"),
    path("streams/<uuid:stream_id>/events", stream_events, name="stream-events"),
    path("rate-limits", RateLimitsView.as_view(), name="rate-limits"),
    path("rate-limits/<uuid:limit_id>", RateLimitView.as_view(), name="rate-limit"),
]
