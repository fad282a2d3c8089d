"""What a failed try means: whether to ask again and when, and what the caller is told."""

import random
from dataclasses import dataclass

import httpx2
import openai
from django.conf import settings
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError
from gateway_app.contracts import Ending
from gateway_app.exceptions import ModelUnavailable, UpstreamCut, UpstreamRefused, UpstreamTimeout
from gateway_app.services.answers import UpstreamError

# Everything that a provider, its network or its SDK may raise.
UPSTREAM_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, UpstreamError, TimeoutError)
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_CREDENTIALS = (401, 403)


@dataclass(frozen=True)
class Failure:
    """``error`` is for the caller, ``detail`` for operators; ``retry_after`` in seconds, as the provider asked."""

    ending: Ending
    error: DeepSpaceError
    detail: str
    http_status: int | None = None
    is_retryable: bool = False
    retry_after: float = 0


class CallError(Exception):
    """The call is over; ``failure`` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def failure_of(error: BaseException, *, has_output: bool) -> Failure:
    """Return what ``error`` means for a call, before its first token or after it."""
    detail = f"{type(error).__name__}: {error}"
    if _is_timeout(error):
        return Failure(Ending.TIMEOUT, UpstreamTimeout(), detail)
    if has_output:
        return Failure(Ending.UPSTREAM_CUT, UpstreamCut(), detail)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, detail)
    # No connection, a broken one, or an error told in the stream, all before the first token.
    return Failure(Ending.REFUSED, ModelUnavailable(), detail, is_retryable=True)


def retry_delay(failure: Failure, *, tries: int, time_left: float) -> float | None:
    """Return the seconds to wait before the next try; None when there is to be none.

    Exponential with jitter (half to all of the step), never shorter than the provider asks for. A provider that asks
    for more than GATEWAY_RETRY_MAX_MS, or for more than the call has left, is not asked again.
    """
    if not failure.is_retryable or tries >= settings.GATEWAY_MAX_ATTEMPTS:
        return None
    longest = settings.GATEWAY_RETRY_MAX_MS / 1000
    step = min(longest, settings.GATEWAY_RETRY_BASE_MS / 1000 * 2 ** (tries - 1))
    delay = max(failure.retry_after, step * random.uniform(0.5, 1))
    return delay if delay <= min(longest, time_left) else None


def _is_timeout(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, openai.APITimeoutError) else error
    if isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return False  # nothing was sent: as good as no connection
    return isinstance(cause, httpx2.TimeoutException | TimeoutError) or isinstance(error, openai.APITimeoutError)


def _of_status(error: openai.APIStatusError, detail: str) -> Failure:
    status = error.status_code
    if status in _CREDENTIALS:
        return Failure(
            Ending.REFUSED, ModelUnavailable(_("The model provider does not accept our key.")), detail, status
        )
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
        is_retryable = error.code != "insufficient_quota"
        return Failure(Ending.REFUSED, ModelUnavailable(), detail, status, is_retryable, _retry_after(error))
    message = _("The model provider refused the request: %(reason)s") % {"reason": _reason(error)}
    return Failure(Ending.REFUSED, UpstreamRefused(message), detail, status)


def _reason(error: openai.APIStatusError) -> str:
    body = error.body
    return str(body.get("message", "") if isinstance(body, dict) else body or error)[:300]


def _retry_after(error: openai.APIStatusError) -> float:
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return 0
