"""Model providers: which endpoint writes, and the limits of one call."""

from config.settings.env import PRODUCTION, boolean, env, positive_int, refuse

OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="")
OPENAI_MODEL = env.str("OPENAI_MODEL", default="")
# Further providers of the catalogue; each is used once its key is set.
ANTHROPIC_API_KEY = env.str("ANTHROPIC_API_KEY", default="")
DEEPSEEK_API_KEY = env.str("DEEPSEEK_API_KEY", default="")
# Set by `make run` when it serves the small local model.
LOCAL_MODEL_URL = env.str("LOCAL_MODEL_URL", default="")

if PRODUCTION and not (OPENAI_API_KEY or OPENAI_BASE_URL):
    refuse(
        "OPENAI_API_KEY",
        "is not set. Production does not fall back to the small local model; set a key or OPENAI_BASE_URL.",
    )

# Every model call passes these steps, in this order; see gateway_app.services.pipeline for their interface.
GATEWAY_STEPS = [
    "gateway_app.services.steps.Authenticate",
    "gateway_app.services.steps.Access",
    "gateway_app.services.steps.Route",
    "gateway_app.services.steps.Limits",
    "gateway_app.services.steps.Count",
]
# Tokens that a call may write when its caller names no limit: also what is held for it.
GATEWAY_MAX_TOKENS = positive_int("GATEWAY_MAX_TOKENS", 4096)
# Tries at a provider, the first included; only before the first token.
GATEWAY_MAX_ATTEMPTS = positive_int("GATEWAY_MAX_ATTEMPTS", 4)
GATEWAY_RETRY_BASE_MS = positive_int("GATEWAY_RETRY_BASE_MS", 500)
# A provider that asks to wait longer than this is taken to be down.
GATEWAY_RETRY_MAX_MS = positive_int("GATEWAY_RETRY_MAX_MS", 20_000)
# How long a call whose process died waits for the provider's report before it is settled without; see docs/charging.md.
GATEWAY_UNKNOWN_SECONDS = env.int("GATEWAY_UNKNOWN_SECONDS", default=3600)
if GATEWAY_UNKNOWN_SECONDS < 0:
    refuse("GATEWAY_UNKNOWN_SECONDS", "must be a whole number of seconds, 0 or more.")
# Days for which an operation key and its answer are kept.
OPERATION_RETENTION_DAYS = positive_int("OPERATION_RETENTION_DAYS", 30)
# Encrypts the API keys that operators store for providers: long random texts, the first for new ones, the others for
# what was stored before (`./manage.py rotate_credentials` moves it over). Unset: derived from DJANGO_SECRET_KEY.
CREDENTIALS_KEY = [key for key in env.list("CREDENTIALS_KEY", default=[]) if key]
# Whether a provider that an operator enters may be on a private network or this machine (OPENAI_BASE_URL always may).
PROVIDER_PRIVATE_NETWORKS = boolean("PROVIDER_PRIVATE_NETWORKS", default=not PRODUCTION)
# A provider that failed so often within the window, and at least every second time, is left alone for the pause.
GATEWAY_BREAKER_FAILURES = positive_int("GATEWAY_BREAKER_FAILURES", 5)
GATEWAY_BREAKER_WINDOW_SECONDS = positive_int("GATEWAY_BREAKER_WINDOW_SECONDS", 30)
GATEWAY_BREAKER_PAUSE_SECONDS = positive_int("GATEWAY_BREAKER_PAUSE_SECONDS", 15)
