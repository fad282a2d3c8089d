"""A worker process of ours that makes one call and kills itself at a labelled point: no finally runs, no socket closes
in order. ``python -m tests.support.gateway_worker ORGANIZATION OPERATION POINT``
"""

import os
import signal
import sys
from uuid import UUID

import django

POINTS = ("before_hold", "after_hold", "mid_stream", "before_settle", "in_settle", "none")


def die() -> None:
    """As `kill -9` does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(organization_id: str, operation_key: str, point: str) -> None:
    """Make the call, and die at ``point``."""
    django.setup()
    from django.conf import settings

    from accounts_app.tenancy.context import tenant_context
    from gateway_app.services.chat import chat_stream
    from tests.factories.gateway import chat_request

    place = {"before_hold": 2, "after_hold": 3, "before_settle": 3, "in_settle": 4}.get(point)
    if place is not None:
        steps = list(settings.GATEWAY_STEPS)
        kind = "DieAfter" if point.endswith("settle") else "DieBefore"
        settings.GATEWAY_STEPS = [*steps[:place], f"tests.support.gateway_steps.{kind}", *steps[place:]]
    with tenant_context(UUID(organization_id)), chat_stream(chat_request(operation_key=operation_key)) as stream:
        for number, _text in enumerate(stream):
            if point == "mid_stream" and number == 3:
                die()
    print(stream.result.text)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
