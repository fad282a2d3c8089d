from django.urls import URLPattern, URLResolver, path

from gateway_app.consumers import stream_consumer

websocket_urlpatterns: list[URLPattern | URLResolver] = [
    path("ws/streams/<uuid:stream_id>/", stream_consumer, name="stream"),
]
