"""How long the tables that are partitioned by month keep their rows. 0 keeps them for ever."""

from config.settings.env import env, refuse


def _months(name: str) -> int:
    raw = str(env(name, default="0"))
    if not raw.isascii() or not raw.isdigit():
        refuse(name, f"must be a whole number of months, 0 to keep everything, not {raw!r}.")
    return int(raw)


REQUEST_LOG_RETENTION_MONTHS = _months("REQUEST_LOG_RETENTION_MONTHS")
USAGE_RETENTION_MONTHS = _months("USAGE_RETENTION_MONTHS")
RUN_LOGS_RETENTION_MONTHS = _months("RUN_LOGS_RETENTION_MONTHS")
# Not dropped: moved to the file storage, see workflows_app.services.archive.
RUN_EVENTS_RETENTION_MONTHS = _months("RUN_EVENTS_RETENTION_MONTHS")

# Whole months kept beside the running one, by table. A table that is not named here keeps everything.
PARTITION_RETENTION_MONTHS = {
    "gateway_calls": REQUEST_LOG_RETENTION_MONTHS,
    "gateway_attempts": REQUEST_LOG_RETENTION_MONTHS,
    "openai_usage": USAGE_RETENTION_MONTHS,
    "run_logs": RUN_LOGS_RETENTION_MONTHS,
}
