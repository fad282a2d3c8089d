"""What the process manager is asked to do, read and checked before anything starts."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config import environment
from config.environment import env, positive_int, refuse


@dataclass(frozen=True)
class Options:
    """The variables of ``.env.example`` that concern processes."""

    host: str
    port: int
    data_dir: Path
    web_workers: int
    model_threads: int
    production: bool
    database_url: str
    database_owner_url: str
    redis_url: str
    broker_url: str
    local_model: bool

    @property
    def address(self) -> str:
        """Where people reach it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def read_options() -> Options:
    """Return the checked options; raises ImproperlyConfigured that names the variable and the remedy."""
    database_url, redis_url, broker_url = _text("DATABASE_URL"), _text("REDIS_URL"), _text("BROKER_URL")
    owner_url = _text("DATABASE_OWNER_URL")
    _check_url("DATABASE_URL", database_url, ("postgres", "postgresql"), "postgres://USER:PASSWORD@HOST:PORT/NAME")
    _check_url("DATABASE_OWNER_URL", owner_url, ("postgres", "postgresql"), "postgres://USER:PASSWORD@HOST:PORT/NAME")
    _check_url("REDIS_URL", redis_url, ("redis", "rediss", "unix"), "redis://HOST:PORT/0")
    _check_url("BROKER_URL", broker_url, ("amqp", "amqps", "redis", "rediss"), "amqp://USER:PASSWORD@HOST:PORT/VHOST")
    if environment.PRODUCTION and not _text("DJANGO_SECRET_KEY"):
        refuse("DJANGO_SECRET_KEY", "is not set. Production makes none up: give it 50 or more random characters.")
    if owner_url and not database_url:
        refuse(
            "DATABASE_OWNER_URL", "is set without DATABASE_URL. Set both, or none for the database that comes along."
        )
    return Options(
        host=_host(),
        port=positive_int("PORT", 8000, 65_535),
        data_dir=environment.DATA_DIR,
        web_workers=positive_int("WEB_WORKERS", 1, 64),
        model_threads=positive_int("MODEL_WORKER_THREADS", 8, 512),
        production=environment.PRODUCTION,
        database_url=database_url,
        database_owner_url=owner_url,
        redis_url=redis_url,
        broker_url=broker_url,
        local_model=not (environment.PRODUCTION or _text("OPENAI_API_KEY") or _text("OPENAI_BASE_URL")),
    )


def _text(name: str) -> str:
    return str(env(name, default="")).strip()


def _host() -> str:
    host = _text("HOST") or "127.0.0.1"
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        refuse(
            "HOST", f"{host!r} is no address of this machine. 127.0.0.1 serves this machine only, 0.0.0.0 the network."
        )
    return host


def _check_url(name: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    if url and urlsplit(url).scheme not in schemes:
        refuse(name, f"must look like {example}.")


def published_environment(options: Options) -> dict[str, str]:
    """Return the process environment that children get, without what make and the manager's own start put there."""
    hidden = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKE_TERMOUT", "MAKE_TERMERR", "DEEPSPACE_UNDER_MAKE"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    kept |= {"DATA_DIR": str(options.data_dir), "HOST": options.host, "PORT": str(options.port)}
    return kept | {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "config.settings"}
