from config.settings.env import BASE_DIR as _ROOT
from config.settings.env import DATA_DIR, PRODUCTION, env, refuse, required

BASE_DIR = _ROOT

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = required(
    "DJANGO_SECRET_KEY",
    "`make run` makes one by itself; elsewhere set it to 50 or more random characters.",
)

HOST = env.str("HOST", default="127.0.0.1")
# Development that serves the whole network is reached by whatever name the machine has there.
_HERE = ["*"] if HOST in {"0.0.0.0", "::"} else ["localhost", "127.0.0.1", "[::1]", HOST]  # noqa: S104
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else _HERE)
if not ALLOWED_HOSTS:
    refuse("ALLOWED_HOSTS", "is not set. Production answers only to the host names that it is given.")

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TASKS_ENABLED = env.bool("TASKS_ENABLED", default=True)

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="DeepSpace <noreply@localhost>")

# 200,000 characters of text, each up to 4 bytes in UTF-8 and 6 in JSON escapes, must be refused by us, not by Django.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

MEDIA_ROOT = DATA_DIR / "media"
