"""Backups that say of themselves whether they are whole, and their way back.

Everything in a backup is of one moment: the dump, the counted rows and the checks of the books and the runs see the
same snapshot, while the system goes on. Row-level security is not switched off for it: the dump is made by the tables'
owner in the operator context ``backup``, which the policies let read everything. The months of a partitioned table have
no policy of their own, so that nobody reaches them but through their table; its rows are copied through it too.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages
from django.db import connection
from psycopg import sql

from billing_app.services.checks import ledger_check, ledger_snapshot
from config.runtime.postgres import client_program
from config.runtime.roles import grant_runtime
from workflows_app.contracts import Json
from workflows_app.exceptions import BackupRefused
from workflows_app.services.checks import report_json, runs_check

FORMAT = 1
DUMP, MANIFEST, ROWS, FILES = "database.dump", "manifest.json", "rows", "files"

_PARTS = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY relname"
_PARTITIONED = """
    SELECT relname, array_agg(attname::text ORDER BY attnum) FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    WHERE relkind = 'p' AND NOT relispartition AND relnamespace = 'public'::regnamespace
    GROUP BY relname ORDER BY relname
"""


@dataclass(frozen=True)
class RestoreReport:
    """What came back: rows by table, files, and how the books and the runs stand; ``faults`` name what differs."""

    tables: Mapping[str, int]
    files: int
    faults: tuple[str, ...]


def backup_make(*, folder: Path) -> Json:
    """Write database, files and a manifest into ``folder``, which must be new or empty; returns the manifest.

    Raises BackupRefused (the folder is not empty, pg_dump is missing, too old or fails).
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupRefused(f"{folder} is not empty.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with ledger_snapshot():
        snapshot = _rows("SELECT pg_export_snapshot()")[0][0]
        parts = [f"--exclude-table-data=public.{name}" for (name,) in _rows(_PARTS)]
        options = ["--format=custom", f"--snapshot={snapshot}", "--enable-row-security", f"--file={folder / DUMP}"]
        _run("pg_dump", *options, *parts)
        _rows_copied(folder / ROWS)
        server = _rows("SHOW server_version")[0][0]
        manifest = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), "postgres": server} | _standing()
    manifest["dump"] = {str(file.relative_to(folder)): _digest(file) for file in _dumped(folder)}
    manifest["bytes"] = sum(file.stat().st_size for file in _dumped(folder))
    manifest["files"] = _files_copied(folder / FILES)
    # Last: a folder with a manifest is a whole backup.
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, default=str))
    return manifest


def backup_restore(*, folder: Path, runtime_role: str) -> RestoreReport:
    """Load a backup into the empty database of the settings, as its owner, and check what came; files are put back.

    ``runtime_role`` is who will work with it. Raises BackupRefused: the folder holds no whole backup, the database is
    not empty, pg_restore is missing, too old or fails (then the database is as empty as before).
    """
    manifest = _manifest(folder)
    if _rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")[0][0]:
        raise BackupRefused("The database is not empty. Make a new one, and name it in DATABASE_URL.")
    # Another connection must be able to take every lock.
    connection.close()
    with tempfile.TemporaryDirectory() as scripts:
        _load(folder, Path(scripts))
    with psycopg.connect(**_parameters()) as owner:
        grant_runtime(owner, runtime_role)
    _analyze()
    count = _files_restored(folder / FILES)
    return _compared(manifest, count)


def _load(folder: Path, scripts: Path) -> None:
    """Tables, then rows, then what guards them: policies, triggers, keys; in one transaction."""
    before, after = scripts / "before.sql", scripts / "after.sql"
    _run("pg_restore", "--no-owner", "--section=pre-data", "--section=data", f"--file={before}", folder / DUMP)
    _run("pg_restore", "--no-owner", "--section=post-data", f"--file={after}", folder / DUMP)
    rows = scripts / "rows.sql"
    # The scripts leave an empty search path behind them.
    rows.write_text("".join(f"\\copy {line}\n" for line in _copies(folder / ROWS)))
    _run(
        "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
        f"--file={before}", f"--file={rows}", f"--file={after}", folder=folder,
    )  # fmt: skip


def _analyze() -> None:
    """Have PostgreSQL look at what came, a table at a time.

    In one transaction it would keep the lock of each table that it has done, and it and autovacuum, which begins by
    itself what many rows came into, could wait for each other.
    """
    with psycopg.connect(**_parameters(), autocommit=True) as owner:
        owner.execute("ANALYZE")


def _copies(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.copy")):
        columns = json.loads(file.with_suffix(".json").read_text())
        named = ", ".join(f'"{name}"' for name in columns)
        yield f"public.{file.stem} ({named}) FROM '{ROWS}/{file.name}'"


def _compared(manifest: Json, files: int) -> RestoreReport:
    with ledger_snapshot():
        found = json.loads(json.dumps(_standing(), default=str))
    faults = [f"{name} ({_difference(manifest[name], found[name])})" for name in found if manifest[name] != found[name]]
    return RestoreReport(found["tables"], files, tuple(faults))


def _difference(before: Any, now: Any) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{len(before)}, now {len(now)}"
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return ", ".join(f"{name}: {before.get(name)!r:.60}, now {now.get(name)!r:.60}" for name in names[:10])


def _standing() -> Json:
    """What a backup and what was loaded from it must agree in; in the snapshot of the caller."""
    return {
        "migrations": _migrations(),
        "tables": _tables(),
        "ledger": asdict(ledger_check()),
        "runs": report_json(runs_check()),
    }


def _manifest(folder: Path) -> Json:
    try:
        manifest: Json = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise BackupRefused(f"{folder} holds no whole backup: {MANIFEST} is missing or damaged.") from error
    if manifest["format"] != FORMAT:
        raise BackupRefused(f"This backup has format {manifest['format']}; this release reads {FORMAT}.")
    if manifest["dump"] != {str(file.relative_to(folder)): _digest(file) for file in _dumped(folder)}:
        raise BackupRefused(f"What is in {folder} is not what the manifest describes.")
    return manifest


def _dumped(folder: Path) -> list[Path]:
    return [file for file in (folder / DUMP, *sorted((folder / ROWS).glob("*"))) if file.exists()]


def _rows_copied(folder: Path) -> None:
    """Write the rows of each partitioned table, and beside them its columns; those that Postgres computes are left."""
    folder.mkdir()
    for table, columns in _rows(_PARTITIONED):
        (folder / f"{table}.json").write_text(json.dumps(columns))
        chosen = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(chosen, sql.Identifier(table))
        with (
            connection.cursor() as cursor,
            (folder / f"{table}.copy").open("wb") as file,
            cursor.copy(statement) as rows,
        ):
            for block in rows:
                file.write(block)


def _run(program: str, *arguments: object, folder: Path | None = None) -> None:
    path = client_program(program)
    if path is None:
        raise BackupRefused(f"{program} was not found. Install PostgreSQL's client programs.")
    values = _parameters()
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    environment = {name: str(values[key]) for name, key in names.items() if key in values}
    environment |= {"PGOPTIONS": "-c app.operator=backup", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(  # noqa: S603
        [path, *map(str, arguments)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupRefused(f"{program} failed.\n{done.stderr.strip()[-2000:]}")


def _parameters() -> dict[str, Any]:
    given = connection.settings_dict
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    return {name: given[key] for name, key in names.items() if given.get(key)}


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _migrations() -> list[str]:
    return [f"{app}.{name}" for app, name in _rows("SELECT app, name FROM django_migrations ORDER BY app, name")]


def _tables() -> dict[str, int]:
    """Count the rows of every table; partitions are counted with the table that they are part of."""
    names = _rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
    )
    with connection.cursor() as cursor:
        counted = {}
        for (name,) in names:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name)))
            counted[name] = int(cursor.fetchall()[0][0])
    return counted


def _files_copied(folder: Path) -> list[Json]:
    """Copy the files of this machine; those in a bucket are kept by the bucket's own versions."""
    root = Path(settings.MEDIA_ROOT)
    if not isinstance(storages["default"], FileSystemStorage) or not root.exists():
        return []
    shutil.copytree(root, folder)
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [{"name": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in found]


def _files_restored(folder: Path) -> int:
    if not folder.exists():
        return 0
    shutil.copytree(folder, settings.MEDIA_ROOT, dirs_exist_ok=True)
    return sum(1 for path in folder.rglob("*") if path.is_file())


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
