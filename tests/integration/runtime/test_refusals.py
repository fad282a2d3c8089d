"""What cannot work is refused before anything starts, with the variable's name and what to do."""

import socket
import subprocess
from pathlib import Path

import pytest

from config.runtime.ports import free_port
from tests.integration.runtime.conftest import StartCopy
from tests.support.copies import MANAGER, SystemCopy, copy_environment

BAD = [
    ({"PORT": "abc"}, "PORT: must be a whole number of at least 1, not 'abc'."),
    ({"PORT": "70000"}, "PORT: must be at most 65535, not 70000."),
    ({"HOST": "no.such.host.invalid"}, "HOST: 'no.such.host.invalid' is no address of this machine."),
    ({"WEB_WORKERS": "0"}, "WEB_WORKERS: must be a whole number of at least 1, not '0'."),
    ({"MODEL_WORKER_THREADS": "many"}, "MODEL_WORKER_THREADS: must be a whole number of at least 1, not 'many'."),
    ({"DEBUG": "perhaps"}, "DEBUG: must be true or false, not 'perhaps'."),
    ({"DEBUG": "false"}, "DJANGO_SECRET_KEY: is not set. Production makes none up"),
    (
        {"DEBUG": "false", "DJANGO_SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "x.org", "OPENAI_BASE_URL": ""},
        "OPENAI_API_KEY: is not set.",
    ),
    ({"DEBUG": "false", "DJANGO_SECRET_KEY": "x" * 50}, "ALLOWED_HOSTS: is not set."),
    ({"DATABASE_URL": "mysql://root@127.0.0.1/x"}, "DATABASE_URL: must look like postgres://"),
    ({"DATABASE_URL": "postgres://x:y@127.0.0.1:1/x"}, "DATABASE_URL: the database does not let us in."),
    ({"DATABASE_OWNER_URL": "postgres://x:y@127.0.0.1:1/x"}, "DATABASE_OWNER_URL: is set without DATABASE_URL."),
    ({"REDIS_URL": "http://127.0.0.1:1"}, "REDIS_URL: must look like redis://HOST:PORT/0."),
    ({"TRUSTED_PROXIES": "::1,proxy"}, "TRUSTED_PROXIES: has 'proxy', which is no address and no network."),
    ({"CREDIT_USD": "a lot"}, "CREDIT_USD: must be a decimal number of USD"),
]


@pytest.mark.parametrize(("variables", "words"), BAD, ids=[" ".join(variables) for variables, _ in BAD])
def test_bad_variable_stops_the_start_and_names_the_remedy(
    variables: dict[str, str], words: str, tmp_path: Path
) -> None:
    said, code = _run_to_its_end(tmp_path / "var", variables)

    assert f"Not started. {words}" in said
    assert "Traceback" not in said
    assert code == 1
    assert not (tmp_path / "var" / "postgres").exists()


def test_port_in_use_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said, code = _run_to_its_end(tmp_path / "var", {"PORT": str(port)})

    assert f"PORT: cannot listen on 127.0.0.1:{port} (Address already in use)." in said
    assert "set another PORT" in said
    assert code == 1
    assert not (tmp_path / "var" / "postgres").exists()


def test_second_run_on_the_same_data_dir_is_refused(tmp_path: Path, start_copy: StartCopy) -> None:
    first = start_copy(tmp_path / "var")
    first.wait_for("Starting PostgreSQL …")
    said, code = _run_to_its_end(tmp_path / "var", {})

    assert f"is in use by another `make run` (process {first.pid})" in said
    assert code == 1
    assert first.is_alive


def test_data_dir_that_cannot_be_made_stops_the_start() -> None:
    done = subprocess.run(
        MANAGER, env=copy_environment(Path("/proc/nowhere"), free_port()), capture_output=True, text=True
    )

    assert "DATA_DIR: cannot write to /proc/nowhere" in done.stdout
    assert done.returncode == 1


def _run_to_its_end(data_dir: Path, variables: dict[str, str]) -> tuple[str, int]:
    copy = SystemCopy(data_dir, variables)
    try:
        code = copy.wait_end()
        return copy.said, code
    finally:
        copy.stop()
