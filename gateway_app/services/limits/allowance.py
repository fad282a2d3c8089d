"""What the limiter answers."""

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from gateway_app.exceptions import RateLimited

_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000


@dataclass(frozen=True)
class Place:
    """Where a rule counted a call: its second, and which life of the counter (a lost one begins another)."""

    rule_id: UUID
    cell: int
    epoch: str


@dataclass(frozen=True)
class Meter:
    """The tightest rule of one kind: what it allows in a minute, what is left, and when all is free again (ms)."""

    limit: int
    remaining: int
    reset_ms: int


@dataclass(frozen=True)
class Allowance:
    """Whether a call may go on. ``degraded``: Redis did not answer, so nothing was counted and it may.

    ``retry_after_ms``: when a refused call would fit; None: never, since it alone needs more than a limit.
    ``requests`` and ``tokens`` are None where no rule limits them. ``reserved``: the tokens that were counted.
    """

    organization_id: UUID
    allowed: bool = True
    degraded: bool = False
    retry_after_ms: int | None = 0
    requests: Meter | None = None
    tokens: Meter | None = None
    reserved: int = 0
    places: tuple[Place, ...] = ()

    def headers(self) -> dict[str, str]:
        """Return the ``x-ratelimit-*`` headers, as OpenAI writes them; empty where nothing is limited or known."""
        kinds = {"requests": self.requests, "tokens": self.tokens}
        return {
            f"x-ratelimit-{figure}-{kind}": value
            for kind, meter in kinds.items()
            if meter
            for figure, value in (
                ("limit", str(meter.limit)),
                ("remaining", str(meter.remaining)),
                ("reset", duration(meter.reset_ms)),
            )
        }

    def refusal(self) -> RateLimited:
        """Return the error that tells a caller who was refused."""
        if self.retry_after_ms is None:
            message = _("This call alone needs more tokens than the rate limit allows in a minute.")
            return RateLimited(message, retry_after_ms=None)
        return RateLimited(retry_after_ms=self.retry_after_ms)


def duration(ms: int) -> str:
    """Return a time as OpenAI's headers write it: ``12ms``, ``1s``, ``8.64s``, ``6m0s``, ``1h0m0s``."""
    if 0 < ms < _SECOND:
        return f"{ms}ms"
    hours, rest = divmod(ms, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    text = f"{rest / _SECOND:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
