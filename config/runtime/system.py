"""The whole system of one DATA_DIR: what runs, in which order it starts, is looked after, and stops."""

import json
import os
import time
from pathlib import Path

import psutil
import psycopg

from config.runtime import bonds
from config.runtime.applications import applications
from config.runtime.children import Child
from config.runtime.commands import run_command
from config.runtime.console import say, step
from config.runtime.errors import CommandError, StartError
from config.runtime.guardian import Guardian
from config.runtime.keeping import Keeper, Unit
from config.runtime.lock import lock_data_dir
from config.runtime.options import Options, published_environment
from config.runtime.ports import why_not_bindable
from config.runtime.postgres import OWNER, EmbeddedPostgres
from config.runtime.prepare import DEMO_EMAIL, DEMO_MADE
from config.runtime.redis import EmbeddedRedis
from config.runtime.roles import DatabaseAccess, grant_runtime
from config.runtime.services import LocalModel, check_given, given_database, http_answers
from config.runtime.vault import kept_secret, write_private

ANSWERS_WITHIN = 180.0  # seconds for the first request
FAILURES_AT_START = 3


class System:
    """Everything that `make run` runs."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.guardian = Guardian()
        self.services: list[Keeper] = []
        self.applications: list[Keeper] = []
        self.environment = published_environment(options)
        self.lock: int | None = None
        self.demo_line = ""

    def open(self) -> None:
        """Check everything that can be checked before anything runs, and lock the folder; raises StartError."""
        _make_folder(self.options.data_dir)
        self.lock = lock_data_dir(self.options.data_dir)
        if reason := why_not_bindable(self.options.host, self.options.port):
            address = f"{self.options.host}:{self.options.port}"
            raise StartError(
                f"PORT: cannot listen on {address} ({reason}). Stop what listens there, or set another PORT."
            )
        if not self.options.production:
            secret = kept_secret(self.options.data_dir / "secrets" / "django_secret_key")
            self.environment["DJANGO_SECRET_KEY"] = self.environment.get("DJANGO_SECRET_KEY") or secret
        self._check_settings()

    def start(self) -> None:
        """Services, then what must be in the database, then applications; returns when requests are served."""
        self.guardian.start()
        access = self._start_database()
        self._start_redis()
        model = self._begin_local_model()
        self._publish(access)
        self._prepare(access)
        if model:
            self._await_local_model(model)
        for child in applications(self.options, self.environment):
            self._keep(self.applications, child.name, child)
        self._await_web()
        say(f"Logs and outgoing mail: {self.options.data_dir / 'logs'}")
        if self.demo_line:
            say(self.demo_line)
        say(f"Ready: {self.options.address}")

    def look_after(self) -> None:
        """Start again what has ended."""
        for keeper in (*self.services, *self.applications):
            keeper.look_after()
        self.guardian.look_after()
        bonds.reap_orphans(self._own_processes())

    def stop(self) -> None:
        """Stop applications, then services, in the reverse order of starting."""
        if self.services or self.applications:
            say("Stopping …")
        for keeper in reversed(self.applications):
            if isinstance(keeper.unit, Child):
                keeper.unit.ask_to_stop()
        for keeper in (*reversed(self.applications), *reversed(self.services)):
            keeper.stop()
        self._sweep()
        self.guardian.stop()
        if self.lock is not None:
            self._runtime_file.unlink(missing_ok=True)
            os.close(self.lock)
        if self.services:
            say("Stopped.")

    def hurry(self) -> None:
        """Stop waiting for applications; called when somebody signals a second time."""
        for keeper in self.applications:
            keeper.kill()

    def _own_processes(self) -> set[int]:
        processes = [keeper.unit.process for keeper in (*self.services, *self.applications)]
        return {process.pid for process in (*processes, self.guardian.process) if process}

    @property
    def _runtime_file(self) -> Path:
        return self.options.data_dir / "runtime.json"

    def _log(self, name: str) -> Path:
        return self.options.data_dir / "logs" / f"{name}.log"

    def _keep(self, keepers: list[Keeper], name: str, unit: Unit) -> None:
        """Start the unit; it is on the list before, so that an interrupted start is stopped too."""
        keepers.append(Keeper(name, unit, self.guardian, ask=keepers is self.services))
        keepers[-1].start()

    def _check_settings(self) -> None:
        """Import the settings as applications will, so that a bad variable is named before anything starts."""
        here = {"DATABASE_URL": "postgres://later@127.0.0.1/later", "REDIS_URL": "redis://127.0.0.1/0"}
        given = {name: value for name, value in self.environment.items() if value}
        try:
            run_command(["-c", "import config.settings"], here | given, self._log("settings"))
        except CommandError as failed:
            raise StartError(str(failed)) from failed

    def _start_database(self) -> DatabaseAccess:
        if self.options.database_url:
            with step("Connecting to the database of DATABASE_URL"):
                return given_database(self.options)
        postgres = EmbeddedPostgres(self.options.data_dir / "postgres")
        with step("Starting PostgreSQL"):
            self._keep(self.services, "PostgreSQL", postgres)
        with psycopg.connect(postgres.url(OWNER)) as connection:
            grant_runtime(connection)
        return DatabaseAccess(url=postgres.url(), owner_url=postgres.url(OWNER))

    def _start_redis(self) -> None:
        if self.options.broker_url:
            check_given("BROKER_URL", self.options.broker_url)
        if self.options.redis_url:
            check_given("REDIS_URL", self.options.redis_url)
            return
        redis = EmbeddedRedis(self.options.data_dir / "redis")
        with step("Starting Redis"):
            self._keep(self.services, "Redis", redis)
        self.environment["REDIS_URL"] = redis.url

    def _begin_local_model(self) -> LocalModel | None:
        """Start loading the model, which takes its time while the database is prepared."""
        if not self.options.local_model:
            return None
        if not LocalModel.is_installed():
            say("There is no small local model for this platform. Set OPENAI_API_KEY or OPENAI_BASE_URL to write.")
            return None
        model = LocalModel(self._log("model-server"), self.environment)
        self._keep(self.services, "local model", model)
        self.environment["LOCAL_MODEL_URL"] = model.url
        return model

    def _await_local_model(self, model: LocalModel) -> None:
        with step("Loading the small local model"):
            loaded = model.wait()
        if not loaded:
            self.services.pop().stop()
            self.environment.pop("LOCAL_MODEL_URL", None)
            say(f"The small local model does not run here; going on without it. See {model.log}.")

    def _publish(self, access: DatabaseAccess) -> None:
        """Tell ``./manage.py`` where everything is; applications learn all but the owner from their environment."""
        given = {"DATABASE_URL": self.options.database_url, "REDIS_URL": self.options.redis_url}
        self.environment["DATABASE_URL"] = access.url
        self.environment.pop("DATABASE_OWNER_URL", None)
        names = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "DJANGO_SECRET_KEY", "LOCAL_MODEL_URL")
        found = {name: self.environment[name] for name in names if name in self.environment}
        found["DATABASE_OWNER_URL"] = access.owner_url
        text = json.dumps({"environment": found, "replaces": given, "pid": os.getpid()})
        write_private(self._runtime_file, text)

    def _prepare(self, access: DatabaseAccess) -> None:
        owner = self.environment | {"DATABASE_URL": access.owner_url, "DATABASE_ROLE": "owner"}
        with step("Bringing the tables up to date"):
            self._command(["manage.py", "migrate", "--noinput", "-v", "1"], owner, "migrate")
        if self.options.production:
            with step("Collecting static files"):
                self._command(["manage.py", "collectstatic", "--noinput"], self.environment, "collectstatic")
        with step("Loading initial data"):
            self._load_initial_data()

    def _load_initial_data(self) -> None:
        environment = dict(self.environment)
        password = ""
        if not self.options.production:
            password = kept_secret(self.options.data_dir / "secrets" / "demo_password", length=12)
            environment["DEMO_PASSWORD"] = password
        said = self._command(["-m", "config.runtime.prepare"], environment, "prepare")
        if DEMO_MADE in said:
            self.demo_line = f"Demo account: {DEMO_EMAIL}  password: {password}"

    def _command(self, arguments: list[str], environment: dict[str, str], name: str) -> str:
        try:
            return run_command(arguments, environment, self._log(name))
        except CommandError as failed:
            raise StartError(f"`{' '.join(arguments)}` failed.\n{failed}") from failed

    def _await_web(self) -> None:
        with step("Starting the applications"):
            deadline = time.monotonic() + ANSWERS_WITHIN
            while not http_answers(f"{self._local_address()}/"):
                self.look_after()
                for keeper in self.applications:
                    if keeper.failures >= FAILURES_AT_START:
                        raise StartError(f"{keeper.name} does not stay up.\n{keeper.last_words()}")
                if time.monotonic() > deadline:
                    raise StartError(
                        f"Nothing answers at {self.options.address}. See {self.options.data_dir / 'logs'}."
                    )
                time.sleep(0.1)

    def _local_address(self) -> str:
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
        host = everywhere.get(self.options.host)
        return f"http://{host}:{self.options.port}" if host else self.options.address

    def _sweep(self) -> None:
        """End whatever left its group behind; orphans have come to us, see ``adopt_orphans``."""
        guard = self.guardian.process.pid if self.guardian.process else 0
        for process in psutil.Process().children(recursive=True):
            if process.pid != guard:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartError(f"DATA_DIR: cannot write to {folder} ({error.strerror}). Set another DATA_DIR.") from error
