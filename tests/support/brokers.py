"""Message brokers of a test's own, which it may stop, kill and start again: a real Redis and a real RabbitMQ."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import amqp

from config.runtime.bonds import die_with_parent
from config.runtime.children import end_group, kill_group, tail
from config.runtime.ports import free_port, is_listening
from config.runtime.redis import EmbeddedRedis
from tests.support.processes import wait_until

PLACES = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin")
REQUIRED = "DEEPSPACE_REQUIRE_RABBITMQ"
STARTS_WITHIN = 240.0  # seconds; a machine that is busy starts it slowly


class Broker(Protocol):
    """What carries Celery's messages, on a port that stays the same."""

    name: str

    @property
    def url(self) -> str:
        """What BROKER_URL is set to."""

    def start(self) -> None:
        """Start it, and return when it takes messages."""

    def stop(self) -> None:
        """Let it end in order: durable queues and persistent messages are there when it starts again."""

    def kill9(self) -> None:
        """End it as a power cut would."""

    def restart(self) -> None:
        """Stop and start it."""

    def ensure(self) -> None:
        """Start it unless it runs."""


class PrivateRedis:
    """A Redis of its own, apart from the one that keeps streams, limits and signs of life."""

    name = "redis"

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="deepspace-redis-"))
        self.home.chmod(0o755)
        self._server = EmbeddedRedis(self.home, free_port())

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def kill9(self) -> None:
        assert self._server.process
        kill_group(self._server.process.pid)
        self._server.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def ensure(self) -> None:
        process = self._server.process
        if process is None or process.poll() is not None:
            self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class PrivateRabbit:
    """One RabbitMQ node with a name, ports, cookie and files of its own, on loopback, as whoever runs the tests.

    Its port mapper is its own too, and ends with it: the machine's, which other nodes may use, is not touched.
    """

    name = "rabbitmq"

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="deepspace-rabbit-"))
        self.log = self.home / "log"
        self.port, self._mapper_port, self._distribution_port = free_port(), free_port(), free_port()
        self._node = f"deepspace-{secrets.token_hex(6)}@localhost"
        self._password = secrets.token_urlsafe(18)
        self._mapper: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._write_files()

    @staticmethod
    def program() -> str:
        """Return the path of the server's script; empty when it is not installed. Debian's own is for root only."""
        path = os.pathsep.join([*PLACES, os.environ.get("PATH", "")])
        return shutil.which("rabbitmq-server", path=path) or ""

    @property
    def url(self) -> str:
        return f"amqp://deepspace:{self._password}@127.0.0.1:{self.port}//"

    def start(self) -> None:
        self._mapper = self._spawn(["epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)])
        wait_until(lambda: is_listening(self._mapper_port), 10)
        self._server = self._spawn([self.program()])
        wait_until(self._serves, STARTS_WITHIN, lambda: f"RabbitMQ did not start.\n{tail(self.log)}")

    def stop(self) -> None:
        for process in (self._server, self._mapper):
            if process:
                process.send_signal(signal.SIGTERM)
                end_group(process, 30)

    def kill9(self) -> None:
        for process in (self._server, self._mapper):
            if process:
                kill_group(process.pid)
                process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def ensure(self) -> None:
        if self._server is None or self._server.poll() is not None:
            self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _write_files(self) -> None:
        cookie = self.home / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self.home / "plugins").write_text("[].\n")
        lines = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "default_user": "deepspace",
            "default_pass": self._password,
            "log.console": "true",
            "log.console.level": "warning",
            "log.file": "false",
        }
        (self.home / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))

    def _spawn(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/bin", "/bin"]),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "logs"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            # The server takes the place of its script, so that it gets our signals and dies with us.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def _serves(self) -> bool:
        assert self._server
        if self._server.poll() is not None:
            raise RuntimeError(f"RabbitMQ ended.\n{tail(self.log)}")
        try:
            address = f"127.0.0.1:{self.port}"
            with amqp.Connection(address, userid="deepspace", password=self._password, connect_timeout=2):
                return True
        except (OSError, amqp.AMQPError):
            return False


BROKERS: dict[str, type[PrivateRedis] | type[PrivateRabbit]] = {"redis": PrivateRedis, "rabbitmq": PrivateRabbit}


def why_not(name: str) -> str:
    """Return why this broker cannot be had here; empty when it can. Raises when it must be there."""
    if name != "rabbitmq" or PrivateRabbit.program():
        return ""
    reason = "rabbitmq-server was not found; apt-get install rabbitmq-server"
    if os.environ.get(REQUIRED) == "1":
        raise RuntimeError(f"{reason} ({REQUIRED}=1 makes this an error)")
    return reason


@contextmanager
def private_broker(name: str) -> Iterator[PrivateRedis | PrivateRabbit]:
    """Run a broker of one's own for the block: ``redis`` or ``rabbitmq``."""
    broker = BROKERS[name]()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()
