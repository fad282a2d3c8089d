from django.urls import URLPattern, URLResolver, path

from gateway_app.consumers import StreamConsumer

websocket_urlpatterns: list[URLPattern | URLResolver] = [
    path("ws/streams/<uuid:stream_id>/", StreamConsumer.as_asgi(), name="stream"),
]
