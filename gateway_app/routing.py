from typing import Any

from django.urls import URLPattern, URLResolver, path

from gateway_app.consumers import stream_consumer

# Django's types know views only; Channels routes any ASGI application with the same patterns.
_consumer: Any = stream_consumer

websocket_urlpatterns: list[URLPattern | URLResolver] = [
    path("ws/streams/<uuid:stream_id>/", _consumer, name="stream"),
]
