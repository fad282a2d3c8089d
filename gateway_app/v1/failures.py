"""What a failed try at a provider means: whether another may do better, and what the caller is told if none does."""

from dataclasses import dataclass

from accounts_app.exceptions import DeepSpaceError
from gateway_app.contracts import Ending
from gateway_app.exceptions import ModelUnavailable, UpstreamRefused, UpstreamTimeout
from gateway_app.services.upstream import UpstreamUnreachable
from gateway_app.v1.errors import ProviderRefusal

_JSON = b"application/json"
# Our account with the provider, or our key, is what is wrong: nothing that the caller could mend.
_OURS = {401, 402, 403}
_TRY_LATER = {408, 425, 429}
_SERVER_ERROR = 500
# Of an error's body no more is read: it is passed on, or a line of it is kept.
ERROR_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """``error`` is for the caller, ``detail`` for operators. ``is_retryable``: another try may succeed;
    ``same_again``: also one at the same provider, not sooner than after ``retry_after`` seconds."""

    ending: Ending
    error: DeepSpaceError
    detail: str
    http_status: int | None = None
    is_retryable: bool = True
    same_again: bool = True
    retry_after: float = 0


class TryFailed(Exception):
    """One try is over, and nothing of it has reached the caller."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def of_exception(error: BaseException) -> Failure:
    """Return what a broken or refused connection, or silence, means."""
    detail = f"{type(error).__name__}: {error}"[:300]
    if isinstance(error, UpstreamUnreachable):
        # Nothing was sent.
        return Failure(Ending.REFUSED, ModelUnavailable(), detail)
    if isinstance(error, TimeoutError):
        # The provider may be at work on it still: not asked twice, but another may be.
        return Failure(Ending.TIMEOUT, UpstreamTimeout(), detail, same_again=False)
    return Failure(Ending.REFUSED, ModelUnavailable(), detail)


def of_answer(status: int, content_type: bytes, body: bytes, retry_after: float) -> Failure:
    """Return what an answer other than 200 means."""
    detail = f"HTTP {status}: {body[:250].decode('utf-8', 'replace')}"
    if status in _OURS:
        error = ModelUnavailable("The model provider does not accept this gateway's account or key.")
        return Failure(Ending.REFUSED, error, detail, status, same_again=False)
    if status >= _SERVER_ERROR or status in _TRY_LATER:
        has_quota = b"insufficient_quota" not in body
        return Failure(Ending.REFUSED, ModelUnavailable(), detail, status, True, has_quota, retry_after)  # noqa: FBT003
    if status < 400:
        return Failure(Ending.REFUSED, UpstreamRefused(), detail, status, same_again=False)
    refusal = ProviderRefusal(status, body, content_type or _JSON)
    return Failure(Ending.REFUSED, refusal, detail, status, is_retryable=False)


def of_told_error(message: str, code: str | None) -> Failure:
    """Return what an error means that the provider told inside an answer of status 200, before any output."""
    return Failure(Ending.REFUSED, ModelUnavailable(), f"{code or 'error'}: {message}"[:300], 200)


def busy(provider: str) -> Failure:
    """Return what it means that the provider has as many calls of ours as it may have."""
    return Failure(Ending.REFUSED, ModelUnavailable(), f"{provider} has its most calls at once.", same_again=False)


def kept_away(provider: str) -> Failure:
    """Return what it means that a provider failed so often lately that others are asked first."""
    return Failure(Ending.REFUSED, ModelUnavailable(), f"{provider} failed often lately.", same_again=False)
