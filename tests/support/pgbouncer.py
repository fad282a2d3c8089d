"""PgBouncer in transaction mode in front of the test's database, where the machine has one (Debian: pgbouncer)."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config.runtime.ports import free_port, is_listening
from tests.support.processes import Process

_SETTINGS = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 300
"""


def program() -> str:
    """Return the path of PgBouncer; empty when there is none."""
    return shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""


@contextmanager
def pgbouncer(folder: Path, database_url: str, *, size: int) -> Iterator[str]:
    """Run one with ``size`` connections to the server; yield the URL that goes through it."""
    parts, own = urlsplit(database_url), free_port()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    folder.mkdir(mode=0o755)
    (folder / "users").write_text(f'"{user}" "{password}"\n')
    settings = folder / "pgbouncer.ini"
    settings.write_text(_SETTINGS.format(host=parts.hostname, port=parts.port, own=own, folder=folder, size=size))
    command = [program(), str(settings)]
    if os.geteuid() == 0:
        # It refuses to run as root.
        for path in (folder, folder / "users", settings):
            os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
        command = [program(), "--user", "nobody", str(settings)]
    bouncer = Process("pgbouncer", command, os.environ, folder.parent / "pgbouncer.log")
    try:
        bouncer.wait_until(lambda: is_listening(own))
        yield parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{own}").geturl()
    finally:
        bouncer.stop()
