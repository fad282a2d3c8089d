"""The project's Celery application, sending every message twice: ``celery -A tests.support.doubled worker …``."""

from typing import Any

from kombu import Producer

from config.celery import app

__all__ = ["app"]

_publish = Producer.publish


def publish_twice(producer: Producer, body: Any, *arguments: Any, **options: Any) -> Any:
    """Publish; a task's message goes out again, with the same id, as if the first had not been acknowledged."""
    if "task" in (options.get("headers") or {}):
        _publish(producer, body, *arguments, **options)
    return _publish(producer, body, *arguments, **options)


Producer.publish = publish_twice  # type: ignore[method-assign,assignment]
