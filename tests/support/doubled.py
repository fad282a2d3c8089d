"""The project's Celery application, ringing and sending all messages twice: ``celery -A tests.support.doubled``."""

from typing import Any

from kombu import Producer

from config.celery import app
from workflows_app.services.doorbell import Button

__all__ = ["app"]

_publish, _press = Producer.publish, Button.press


def publish_twice(producer: Producer, body: Any, *arguments: Any, **options: Any) -> Any:
    """Publish; a task's message goes out again, with the same id, as if the first had not been acknowledged."""
    if "task" in (options.get("headers") or {}):
        _publish(producer, body, *arguments, **options)
    return _publish(producer, body, *arguments, **options)


def press_twice(button: Button) -> bool:
    """Ring at the workers' door, and again."""
    return _press(button) and _press(button)


Producer.publish = publish_twice  # type: ignore[method-assign,assignment]
Button.press = press_twice  # type: ignore[method-assign,assignment]
