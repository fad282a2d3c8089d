"""Requests and tokens per minute: exact over all processes, in any 60 seconds, counted in Redis."""

from gateway_app.services.limits.allowance import Allowance, duration
from gateway_app.services.limits.limiter import RateLimiter, limiter
from gateway_app.services.limits.rules import (
    LimitRule,
    limit_rules,
    rate_limit_check,
    rate_limit_remove,
    rate_limit_set,
    tenant_limit_rules,
)

__all__ = [
    "Allowance",
    "LimitRule",
    "RateLimiter",
    "duration",
    "limit_rules",
    "limiter",
    "rate_limit_check",
    "rate_limit_remove",
    "rate_limit_set",
    "tenant_limit_rules",
]
