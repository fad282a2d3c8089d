"""Errors of this room; see accounts_app.exceptions for their frame."""

from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict, DeepSpaceError


class StreamClosed(Conflict):
    """The stream has had its final event; nothing may follow."""

    code = "stream_closed"
    default_message = _("This stream has ended.")


class ModelNotFound(DeepSpaceError):
    """The catalogue has no such model, or it is switched off."""

    code = "unknown_model"
    default_message = _("There is no such model.")


class ModelUnavailable(DeepSpaceError):
    """No provider could take the call: none is set up, or none answers even when asked again."""

    code = "model_unavailable"
    status = 503
    default_message = _("The model does not answer. Try again in a moment.")


class UpstreamRefused(DeepSpaceError):
    """The provider refused this request; the same request will be refused again."""

    code = "upstream_refused"
    status = 502
    default_message = _("The model provider refused the request.")


class UpstreamCut(DeepSpaceError):
    """The provider broke off in the middle of the answer."""

    code = "upstream_cut"
    status = 502
    default_message = _("The model provider broke off in the middle of the answer.")


class UpstreamTimeout(DeepSpaceError):
    """The provider was silent for too long, or the whole call took too long."""

    code = "upstream_timeout"
    status = 504
    default_message = _("The model took too long to answer.")


class EmptyAnswer(DeepSpaceError):
    """The model ended its answer without writing anything."""

    code = "empty_answer"
    status = 502
    default_message = _("The model answered with nothing. You were not charged.")


class CallInProgress(Conflict):
    """The same operation is being carried out at this moment."""

    code = "call_in_progress"
    default_message = _("This operation is in progress already.")


class OperationConflict(Conflict):
    """The operation key stands for another request."""

    code = "operation_conflict"
    default_message = _("This operation key was used for another request.")


class CallTakenOver(Conflict):
    """The call was given up for dead and settled while it still ran."""

    code = "call_taken_over"
    default_message = _("This call was given up before it ended.")


class NotReplayable(Conflict):
    """The operation was done before, and its answer was not kept."""

    code = "not_replayable"
    default_message = _("This operation was completed before, and its answer is not kept any more.")


class CacheStale(Exception):
    """What was decided by has been changed meanwhile: read it again, then begin again. Never reaches a caller."""


class RateLimited(DeepSpaceError):
    """A limit on requests or tokens per minute is used up. ``retry_after_ms``: when this call would fit; None: never,
    because it alone needs more than the limit."""

    code = "rate_limit_exceeded"
    status = 429
    default_message = _("A rate limit is used up. Try again a little later.")

    def __init__(self, message: str = "", *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
