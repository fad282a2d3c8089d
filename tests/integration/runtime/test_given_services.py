"""A database and a Redis that were given, instead of our own."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from config.runtime.errors import DatabaseRefusedError, ServiceRefusedError
from config.runtime.postgres import SUPERUSER, EmbeddedPostgres
from config.runtime.redis import EmbeddedRedis
from config.runtime.roles import external_access, role_powers
from config.runtime.services import check_given
from tests.integration.runtime.conftest import StartCopy

SECRET = "kept-in-data-dir"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server of this module's own: it makes roles, which belong to a whole server."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("given") / "postgres", durable=False)
    postgres.start()
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        for role, powers in (("plain", ""), ("maker", "CREATEROLE"), ("bypasser", "BYPASSRLS"), ("tables_owner", "")):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pw' {powers}")
        for name, owner in (
            ("plain_db", "plain"),
            ("maker_db", "maker"),
            ("owned_db", "tables_owner"),
            ("root_db", "postgres"),
        ):
            statement = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(owner)))
        connection.execute("DROP ROLE deepspace_app")
    yield postgres
    postgres.stop()


def test_plain_role_serves_as_it_is(server: EmbeddedPostgres) -> None:
    url = _url(server, "plain", "plain_db")

    access = external_access(url, "", SECRET)

    assert (access.url, access.owner_url) == (url, url)


def test_role_that_makes_roles_gets_a_runtime_role_beside_it_always_with_the_same_password(
    server: EmbeddedPostgres,
) -> None:
    admin = _url(server, "maker", "maker_db")

    access = external_access(admin, "", SECRET)

    assert access.owner_url == admin
    assert external_access(admin, "", "another machine's secret") == access
    with psycopg.connect(admin, autocommit=True) as owner:
        owner.execute("CREATE TABLE made_later (word text)")
    with psycopg.connect(access.url) as connection:
        powers = role_powers(connection)
        assert (powers.name, powers.is_safe, powers.creates_roles) == ("deepspace_app", True, False)
        connection.execute("INSERT INTO made_later VALUES ('x')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE made_later")


def test_superuser_migrates_and_the_runtime_role_serves(server: EmbeddedPostgres) -> None:
    access = external_access(server.url(SUPERUSER, "root_db"), "", SECRET)

    with psycopg.connect(access.url) as connection:
        assert role_powers(connection).is_safe


def test_role_that_bypasses_policies_is_refused(server: EmbeddedPostgres) -> None:
    with pytest.raises(DatabaseRefusedError, match="the role bypasser has BYPASSRLS"):
        external_access(_url(server, "bypasser", "plain_db"), "", SECRET)


def test_superuser_is_refused_as_runtime_role_beside_an_owner(server: EmbeddedPostgres) -> None:
    owner = _url(server, "tables_owner", "owned_db")
    with pytest.raises(DatabaseRefusedError, match="the role postgres is a superuser"):
        external_access(server.url(SUPERUSER, "owned_db"), owner, SECRET)


def test_given_owner_grants_what_the_given_runtime_role_needs(server: EmbeddedPostgres) -> None:
    owner, runtime = _url(server, "tables_owner", "owned_db"), _url(server, "plain", "owned_db")

    access = external_access(runtime, owner, SECRET)

    assert (access.url, access.owner_url) == (runtime, owner)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (word text)")
    with psycopg.connect(runtime) as connection:
        assert connection.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_wrong_password_is_said_with_the_variable(server: EmbeddedPostgres) -> None:
    with pytest.raises(DatabaseRefusedError, match=r"DATABASE_URL: the database does not let us in\."):
        external_access(_url(server, "plain", "plain_db", "wrong"), "", SECRET)


def test_redis_that_does_not_answer_is_said_with_the_variable() -> None:
    with pytest.raises(ServiceRefusedError, match=r"REDIS_URL: nothing answers at 127\.0\.0\.1:1"):
        check_given("REDIS_URL", "redis://127.0.0.1:1/0")


def test_system_runs_on_given_services_and_starts_none_of_its_own(
    server: EmbeddedPostgres, tmp_path: Path, start_copy: StartCopy
) -> None:
    redis = EmbeddedRedis(tmp_path / "redis")
    redis.start()
    try:
        given = {"DATABASE_URL": server.url(SUPERUSER, "root_db"), "REDIS_URL": redis.url}
        copy = start_copy(tmp_path / "var", given).wait_ready()

        assert copy.answer() == 200
        assert "Starting PostgreSQL" not in copy.said
        assert "Starting Redis" not in copy.said
        assert not (tmp_path / "var" / "postgres").exists()
        assert "deepspace_app" in copy.published()["DATABASE_URL"]
        web = copy.find("granian")
        assert web
        assert "DATABASE_OWNER_URL" not in web.environ()
        copy.terminate()
        assert copy.wait_end() == 0
    finally:
        redis.stop()


def _url(server: EmbeddedPostgres, role: str, database: str, pw: str = "pw") -> str:
    return f"postgres://{role}:{pw}@127.0.0.1:{server.port}/{database}"
