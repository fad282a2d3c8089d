from config.settings.env import env

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "accounts_app.logs.JsonFormatter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
        # With the run, while one of its steps is carried out.
        "runs": {"class": "workflows_app.logs.RunLogHandler"},
    },
    "root": {"handlers": ["stderr", "runs"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "propagate": False},
        # A line for each request to a model; gateway_attempts has them all.
        "httpx2": {"level": "WARNING"},
    },
}
