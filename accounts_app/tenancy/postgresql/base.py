"""Django's PostgreSQL backend, with the tenant written into every transaction before its first statement.

BEGIN and the tenant travel with that statement, in one exchange with the server; so does a tenant that changes within a
transaction. A transaction without a statement is none: nothing is sent.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base
from psycopg import Copy
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from accounts_app.tenancy import context
from accounts_app.tenancy.postgresql.liveness import connection_check, connection_given_back

_APPLY = (
    "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true),"
    " set_config('app.operator', %s, true), set_config('app.api_key_hash', %s, true)"
)


class Cursor(base.Cursor):  # type: ignore[misc, name-defined]
    """Sends what its connection owes the server ahead of its own statement."""

    # None where Django asks the driver for a cursor itself: to see whether the connection lives.
    database: "DatabaseWrapper | None" = None

    def execute(self, query: Any, params: Any = None, **options: Any) -> "Cursor":
        owed = self.database.owed_settle() if self.database else []
        if not owed:
            super().execute(query, params, **options)
            return self
        super().execute("; ".join([*owed, self.mogrify(query, params)]), **options)
        for _statement in owed:
            self.nextset()
        return self

    # What follows is sent by protocols that take one statement only.

    def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        self._send_owed()
        super().executemany(query, params_seq, **options)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Iterator[Copy]:
        self._send_owed()
        with super().copy(statement, params, **options) as copy:
            yield copy

    def stream(self, query: Any, params: Any = None, **options: Any) -> Iterator[Any]:
        self._send_owed()
        yield from super().stream(query, params, **options)

    def _send_owed(self) -> None:
        if self.database:
            self.database.owed_send()


class DatabaseWrapper(base.DatabaseWrapper):
    # Django's, one for each alias.
    _connection_pools: "dict[str, ConnectionPool[Any]]"
    _is_connecting = False
    # What the next statement has to be preceded by.
    _begin = False
    _tenant: context.Tenant | None = None

    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": Cursor}

    @property
    def pool(self) -> "ConnectionPool[Any] | None":
        options = self.settings_dict["OPTIONS"].get("pool")
        if options and self.alias not in self._connection_pools:
            # Django's own, but for the check: it asks the server before each use, or never.
            parameters = self.get_connection_params() | {"autocommit": True}
            pool = ConnectionPool(
                kwargs=parameters,
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]
                check=connection_check,
                **options,
            )
            self._connection_pools.setdefault(self.alias, pool)
        return super().pool  # type: ignore[misc, no-any-return]

    def init_connection_state(self) -> None:
        # A process's first connection asks the server for its version, before any transaction and for nobody.
        self._is_connecting = True
        try:
            super().init_connection_state()
        finally:
            self._is_connecting = False

    def _set_autocommit(self, autocommit: bool) -> None:
        self._owe_nothing()
        if autocommit or context.tenant_or_nobody() == context.NOBODY:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
            return
        # The driver stays in its autocommit mode: it sends no BEGIN of its own then, and commits or rolls back the
        # transaction that is open.
        self._begin, self._tenant = True, context.tenant_or_nobody()

    def apply_tenant(self) -> None:
        """Write the bound tenant into the open transaction; it ends with it."""
        self._tenant = context.tenant_or_nobody()

    def owed_settle(self) -> list[str]:
        """Return the statements that have to come before the next one, which are owed no longer."""
        if self._tenant is None:
            return []
        assert self.connection is not None
        # A transaction that has failed takes nothing but its rollback.
        if self.connection.info.transaction_status == TransactionStatus.INERROR:
            return []
        with self.connection.cursor() as cursor:
            owed = ["BEGIN"] * self._begin + [cursor.mogrify(_APPLY, self._tenant.settings())]
        self._owe_nothing()
        return owed

    def owed_send(self) -> None:
        """Send what is owed by itself."""
        if owed := self.owed_settle():
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                cursor.execute("; ".join(owed))

    def _owe_nothing(self) -> None:
        self._begin, self._tenant = False, None

    def _commit(self) -> None:
        self._owe_nothing()
        super()._commit()  # type: ignore[misc]

    def _rollback(self) -> None:
        self._owe_nothing()
        super()._rollback()  # type: ignore[misc]

    def _close(self) -> None:
        if self.connection is not None:
            connection_given_back(self.connection)
        super()._close()  # type: ignore[misc]

    def create_cursor(self, name: str | None = None):  # type: ignore[no-untyped-def]
        # Outside a transaction the policies see no tenant and every query would quietly find nothing.
        is_outside = not self._is_connecting and not self.in_atomic_block and self.autocommit
        if is_outside and context.tenant_or_nobody() != context.NOBODY:
            raise ImproperlyConfigured(
                "A bound tenant needs a transaction: open transaction.atomic() around the query."
            )
        if name:
            self.owed_send()
        cursor = super().create_cursor(name)
        if not name:
            cursor.database = self
        return cursor
