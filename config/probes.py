"""``/health``, ``/ready`` and ``/metrics``, before everything else that a request passes.

A probe comes by address and without TLS, session or host name, and must be answered while Postgres is away.
"""

import hmac
import time
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from config import metrics
from config.health import readiness

GetResponse = Callable[[HttpRequest], HttpResponseBase]
# A proxy in front has written one of these: then the peer is the proxy, and says nothing about who asks.
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class ProbeMiddleware:
    """Answer the probes; count and time every other request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._probes = {"/health": health, "/ready": ready, "/metrics": figures}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        probe = self._probes.get(request.path.rstrip("/"))
        if probe is not None:
            return probe(request)
        began = time.monotonic()
        response = self.get_response(request)
        _count(request, response.status_code, time.monotonic() - began)
        return response


def health(request: HttpRequest) -> HttpResponseBase:
    """Alive: this process answers. Asks nothing else, so that nobody restarts it because a database is away."""
    return _uncached(JsonResponse({"status": "alive"}))


def ready(request: HttpRequest) -> HttpResponseBase:
    """200 when calls can be served, 503 otherwise; the body says what is degraded."""
    serves, report = readiness()
    response = JsonResponse(report, status=200 if serves else 503)
    if not serves:
        response["Retry-After"] = "2"
    return _uncached(response)


def figures(request: HttpRequest) -> HttpResponseBase:
    """All figures in Prometheus' text format, for those who may see them."""
    if not _may_read_figures(request):
        return HttpResponse(
            "Send METRICS_TOKEN as a bearer token, or ask from one of METRICS_NETWORKS without a proxy.\n",
            status=403,
            content_type="text/plain",
        )
    return _uncached(HttpResponse(metrics.metrics_text(), content_type=metrics.CONTENT_TYPE))


def _may_read_figures(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode())
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        peer = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(peer in network for network in settings.METRICS_NETWORKS)


def _count(request: HttpRequest, status: int, seconds: float) -> None:
    """By the route's pattern, never by the path; what no route matched is one route."""
    match = request.resolver_match
    route = f"/{match.route}" if match is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    metrics.child(metrics.REQUESTS, route, str(method), str(status)).inc()
    metrics.child(metrics.REQUEST_SECONDS, route).observe(seconds)


def _uncached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
