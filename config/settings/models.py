"""Model providers: which endpoint writes, and the limits of one call."""

from config.settings.env import PRODUCTION, env, refuse

OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="")
OPENAI_MODEL = env.str("OPENAI_MODEL", default="")
# Set by `make run` when it serves the small local model.
LOCAL_MODEL_URL = env.str("LOCAL_MODEL_URL", default="")

if PRODUCTION and not (OPENAI_API_KEY or OPENAI_BASE_URL):
    refuse("OPENAI_API_KEY", "is not set. Production does not fall back to the small local model; set a key or OPENAI_BASE_URL.")
