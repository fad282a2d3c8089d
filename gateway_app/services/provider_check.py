"""Asking a provider whether it is there and takes our key."""

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.services.audit import audit_record
from gateway_app.exceptions import ModelUnavailable
from gateway_app.models import Provider
from gateway_app.services.egress import connection_to
from gateway_app.services.routes import Endpoint, endpoint_at, has_override

_TIMEOUT = 10.0
_MOST_BYTES = 4 * 1024 * 1024
_OK = 200


@dataclass(frozen=True)
class ProviderCheck:
    """What a provider answered to a request for its models. ``models`` None: the answer was no list."""

    http_status: int
    models: int | None
    latency_ms: int

    @property
    def is_good(self) -> bool:
        """Whether it is there, takes our key and speaks our language."""
        return self.http_status == _OK and self.models is not None


def provider_check(*, provider: Provider) -> ProviderCheck:
    """Ask ``provider`` for its models with its own key, and note that in the audit log.

    Follows no redirects and shows nothing of the answer but its status and the number of models. Not in a transaction:
    it waits for the network. Raises ModelUnavailable when it is not set up or does not answer, InvalidInput when its
    address is one that we do not connect to.
    """
    with transaction.atomic():
        endpoint = endpoint_at(provider)
    if endpoint is None:
        raise ModelUnavailable(_("This provider is switched off, or its URL or key is not set."))
    # What the machine's own settings name is trusted; what somebody typed is not.
    allow_private = settings.PROVIDER_PRIVATE_NETWORKS or has_override(provider)
    try:
        check = _ask(endpoint, allow_private=allow_private)
    except (OSError, http.client.HTTPException) as error:
        raise ModelUnavailable(_reason(error)) from error
    with transaction.atomic():
        data = {"provider": provider.key, "http_status": check.http_status, "models": check.models}
        audit_record(action="provider.check", target_type="provider", target_id=provider.pk, data=data)
    return check


def _reason(error: OSError | http.client.HTTPException) -> str:
    """What went wrong, for the operator who looks at the provider's page."""
    if isinstance(error, socket.gaierror):
        return _("There is no host of this name.")
    if isinstance(error, ssl.SSLError):
        return _("The provider's certificate or encryption is not valid.")
    if isinstance(error, TimeoutError):
        return _("The provider did not answer within %(seconds)d seconds.") % {"seconds": _TIMEOUT}
    return _("The provider does not answer: %(error)s") % {"error": type(error).__name__}


def _ask(endpoint: Endpoint, *, allow_private: bool) -> ProviderCheck:
    began = time.monotonic()
    connection = connection_to(endpoint.url, timeout=_TIMEOUT, allow_private=allow_private)
    try:
        headers = {"Authorization": f"Bearer {endpoint.api_key}", "Accept": "application/json"}
        connection.request("GET", urlsplit(endpoint.url).path.rstrip("/") + "/models", headers=headers)
        response = connection.getresponse()
        body = response.read(_MOST_BYTES)
    finally:
        connection.close()
    latency_ms = round((time.monotonic() - began) * 1000)
    return ProviderCheck(http_status=response.status, models=_count(body), latency_ms=latency_ms)


def _count(body: bytes) -> int | None:
    try:
        data = json.loads(body)["data"]
    except (ValueError, TypeError, KeyError):
        return None
    return len(data) if isinstance(data, list) else None
