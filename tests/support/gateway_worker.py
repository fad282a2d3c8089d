"""A worker process of ours that makes one call and kills itself at a labelled point: no finally runs, no socket closes
in order. ``python -m tests.support.gateway_worker ORGANIZATION OPERATION POINT``
"""

import os
import signal
import sys
from uuid import UUID

import django

POINTS = ("before_hold", "after_hold", "mid_stream", "last_token", "after_settle", "none")


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

    steps = {"before_hold": "DieBefore", "after_settle": "DieAfter"}
    if point in steps:
        settings.GATEWAY_STEPS = [*settings.GATEWAY_STEPS, f"tests.support.gateway_steps.{steps[point]}"]
    # Of five tokens the last one is followed by finish reason and usage, and then by the settlement.
    deaths = {"mid_stream": 2, "last_token": 4}
    request = chat_request(operation_key=operation_key, max_tokens=5)
    with tenant_context(UUID(organization_id)), chat_stream(request) as stream:
        if point == "after_hold":
            die()
        for number, _text in enumerate(stream):
            if number == deaths.get(point):
                die()
    print(stream.result.text)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
