"""A clock to turn by hand, and a limiter so plain that it is surely right."""

from dataclasses import dataclass, field
from uuid import uuid4

from gateway_app.services.limits import LimitRule


def rule(*, requests: int | None = None, tokens: int | None = None) -> LimitRule:
    """Return a rule of its own."""
    return LimitRule(uuid4(), "key", uuid4(), requests, tokens)


@dataclass
class Clock:
    """Milliseconds since 1970, which pass when told to."""

    ms: int = 1_763_788_800_000

    def __call__(self) -> int:
        return self.ms

    def pass_ms(self, ms: int) -> None:
        self.ms += ms


@dataclass
class PlainCall:
    """One call that was allowed, with the second in which its request and its tokens count."""

    second: int
    tokens: dict[int, int]
    requests: int = 1


@dataclass
class PlainLimiter:
    """Keeps every call, and adds up those of the last 61 whole seconds for each decision."""

    limit: LimitRule
    calls: list[PlainCall] = field(default_factory=list)
    at: list[int] = field(default_factory=list)

    def take(self, now: int, tokens: int) -> int | None:
        """Return the call's number when it is allowed."""
        second = now // 1000
        requests = sum(call.requests for call in self.calls if call.second > second - 61)
        used = sum(count for call in self.calls for at, count in call.tokens.items() if at > second - 61)
        if requests + 1 > (self.limit.requests_per_minute or 10**9):
            return None
        if used + tokens > (self.limit.tokens_per_minute or 10**9):
            return None
        self.calls.append(PlainCall(second, {second: tokens}))
        self.at.append(now)
        return len(self.calls) - 1

    def correct(self, number: int, now: int, used: int) -> None:
        call = self.calls[number]
        reserved, second = call.tokens[call.second], now // 1000
        if used <= reserved:
            call.tokens[call.second] = used
        else:
            call.tokens[second] = call.tokens.get(second, 0) + used - reserved

    def give_back(self, number: int) -> None:
        call = self.calls[number]
        call.requests, call.tokens, self.at[number] = 0, {}, -(10**9) * (number + 1)

    def most_in_any_minute(self) -> int:
        """The most requests that lie in one window of 60,000 ms, wherever it begins."""
        times = [at for at in self.at if at > 0]
        return max((sum(1 for other in times if 0 <= other - at < 60_000) for at in times), default=0)
