"""The ASGI application: /v1 by itself, pages, REST and SSE on Django, websockets on Channels."""

import gc
import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from accounts_app.tenancy.role import refuse_privileged_role  # noqa: E402
from config.metrics import metrics_tidy  # noqa: E402
from gateway_app.routing import websocket_urlpatterns  # noqa: E402
from gateway_app.v1.application import application as v1_application  # noqa: E402
from gateway_app.v1.application import is_v1  # noqa: E402
from gateway_app.v1.settling import settled_all  # noqa: E402

# For so long (seconds) a server that stops waits for what its last answers are still to have written.
LAST_WRITES_SECONDS = 5.0

refuse_privileged_role()
metrics_tidy()


def _origin_checked(inner: Any) -> Any:
    """Refuse browsers on pages of other sites. A program that brings a key has no origin: browsers cannot send one."""
    checked = AllowedHostsOriginValidator(inner)

    async def application(scope: Any, receive: Any, send: Any) -> Any:
        has_key = dict(scope["headers"]).get(b"authorization", b"").lower().startswith(b"bearer ")
        return await (inner if has_key else checked)(scope, receive, send)

    return application


_others = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": _origin_checked(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)


async def _live(receive: Any, send: Any) -> None:
    """Begin at once; end when the calls that were answered are settled."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await settled_all(LAST_WRITES_SECONDS)
    await send({"type": "lifespan.shutdown.complete"})


# What is loaded by now stays for good. Looked through for garbage again and again, it would cost a tenth of a call.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 50)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve one request or socket. /v1 is the hot path: it passes none of Django's machinery."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        await (v1_application if is_v1(scope) else _others)(scope, receive, send)
