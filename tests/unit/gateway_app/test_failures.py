import httpx2
import openai
import pytest
from pytest_django import Settings

from gateway_app.contracts import Ending
from gateway_app.exceptions import ModelUnavailable, UpstreamCut, UpstreamRefused, UpstreamTimeout
from gateway_app.services.answers import UpstreamError
from gateway_app.services.failures import Failure, failure_of, retry_delay

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def _status(status: int, headers: dict[str, str] | None = None, body: object = None) -> openai.APIStatusError:
    response = httpx2.Response(status, headers=headers or {}, request=REQUEST)
    return openai.APIStatusError("no", response=response, body=body)


def _timeout(cause: Exception) -> openai.APITimeoutError:
    error = openai.APITimeoutError(request=REQUEST)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "ending", "told", "is_retryable"),
    [
        (openai.APIConnectionError(request=REQUEST), Ending.REFUSED, ModelUnavailable, True),
        (_timeout(httpx2.ConnectTimeout("c")), Ending.REFUSED, ModelUnavailable, True),
        (_timeout(httpx2.ReadTimeout("r")), Ending.TIMEOUT, UpstreamTimeout, False),
        (openai.APITimeoutError(request=REQUEST), Ending.TIMEOUT, UpstreamTimeout, False),
        (TimeoutError(), Ending.TIMEOUT, UpstreamTimeout, False),
        (UpstreamError("x"), Ending.REFUSED, ModelUnavailable, True),
        (httpx2.ReadError("x"), Ending.REFUSED, ModelUnavailable, True),
        (_status(429), Ending.REFUSED, ModelUnavailable, True),
        (_status(503), Ending.REFUSED, ModelUnavailable, True),
        (_status(429, body={"code": "insufficient_quota"}), Ending.REFUSED, ModelUnavailable, False),
        (_status(401), Ending.REFUSED, ModelUnavailable, False),
        (_status(400, body={"message": "too long"}), Ending.REFUSED, UpstreamRefused, False),
        (_status(404), Ending.REFUSED, UpstreamRefused, False),
    ],
)
def test_errors_before_the_first_token(error: Exception, ending: Ending, told: type, is_retryable: bool) -> None:
    failure = failure_of(error, has_output=False)
    assert (failure.ending, type(failure.error), failure.is_retryable) == (ending, told, is_retryable)


def test_errors_after_the_first_token_are_not_retried() -> None:
    for error in (httpx2.ReadError("x"), UpstreamError("x"), openai.APIConnectionError(request=REQUEST)):
        failure = failure_of(error, has_output=True)
        assert (failure.ending, type(failure.error), failure.is_retryable) == (Ending.UPSTREAM_CUT, UpstreamCut, False)
    assert failure_of(TimeoutError(), has_output=True).ending is Ending.TIMEOUT


def test_our_key_is_not_told_to_callers() -> None:
    failure = failure_of(_status(401, body={"message": "Incorrect API key provided: sk-secret"}), has_output=False)
    assert "sk-" not in failure.error.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "?"}, 0),
    ],
)
def test_the_wait_that_a_provider_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert failure_of(_status(429, headers), has_output=False).retry_after == seconds


def _failure(retry_after: float = 0, *, is_retryable: bool = True) -> Failure:
    return Failure(Ending.REFUSED, ModelUnavailable(), "", is_retryable=is_retryable, retry_after=retry_after)


def test_delays_grow_with_jitter_up_to_the_limit(settings: Settings) -> None:
    settings.GATEWAY_RETRY_BASE_MS, settings.GATEWAY_RETRY_MAX_MS, settings.GATEWAY_MAX_ATTEMPTS = 1000, 4000, 10
    for attempts, step in ((1, 1), (2, 2), (3, 4), (8, 4)):
        delays = {retry_delay(_failure(), tries=attempts, time_left=600) for _ in range(30)}
        assert len(delays) > 1
        assert all(delay is not None and step / 2 <= delay <= step for delay in delays)


def test_when_there_is_no_next_try(settings: Settings) -> None:
    settings.GATEWAY_RETRY_BASE_MS, settings.GATEWAY_RETRY_MAX_MS, settings.GATEWAY_MAX_ATTEMPTS = 10, 5000, 3
    assert retry_delay(_failure(retry_after=4), tries=2, time_left=600) == 4
    assert retry_delay(_failure(), tries=3, time_left=600) is None
    assert retry_delay(_failure(is_retryable=False), tries=1, time_left=600) is None
    assert retry_delay(_failure(retry_after=6), tries=1, time_left=600) is None
    assert retry_delay(_failure(retry_after=2), tries=1, time_left=1) is None
