import environ

from config.settings.env import required

_REMEDY = "`make run` starts a database by itself; elsewhere set it to postgres://USER:PASSWORD@HOST:PORT/NAME."

DATABASES = {"default": environ.Env.db_url_config(required("DATABASE_URL", _REMEDY))}
# Adds the tenant to every BEGIN; see accounts_app.tenancy.
DATABASES["default"]["ENGINE"] = "accounts_app.tenancy.postgresql"
DATABASES["default"]["OPTIONS"] = {
    # A pool instead of CONN_MAX_AGE: under ASGI a request may run in any thread.
    "pool": {"min_size": 1, "max_size": 16, "timeout": 5, "max_idle": 60},
    # PgBouncer in transaction mode keeps no session state.
    "prepare_threshold": None,
    "connect_timeout": 5,
}
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
