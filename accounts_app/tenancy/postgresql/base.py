"""Django's PostgreSQL backend, with the tenant written into every transaction as it begins."""

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base

from accounts_app.tenancy import context

_APPLY = (
    "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true),"
    " set_config('app.operator', %s, true), set_config('app.api_key_hash', %s, true)"
)


class DatabaseWrapper(base.DatabaseWrapper):
    _is_connecting = False

    def init_connection_state(self) -> None:
        # A process's first connection asks the server for its version, before any transaction and for nobody.
        self._is_connecting = True
        try:
            super().init_connection_state()
        finally:
            self._is_connecting = False

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit or context.tenant_or_nobody() == context.NOBODY:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
            return
        # In one exchange with the server. The driver stays in its autocommit mode: it sends no BEGIN of its own then,
        # and commits or rolls back the transaction that is open.
        with self.wrap_database_errors, super().create_cursor() as cursor:
            cursor.execute("BEGIN; " + cursor.mogrify(_APPLY, context.tenant_or_nobody().settings()))

    def apply_tenant(self) -> None:
        """Write the bound tenant into the open transaction; it ends with it."""
        with self.wrap_database_errors, super().create_cursor() as cursor:
            cursor.execute(_APPLY, context.tenant_or_nobody().settings())

    def create_cursor(self, name: str | None = None):  # type: ignore[no-untyped-def]
        # Outside a transaction the policies see no tenant and every query would quietly find nothing.
        if self._is_connecting:
            return super().create_cursor(name)
        if not self.in_atomic_block and context.tenant_or_nobody() != context.NOBODY and self.autocommit:
            raise ImproperlyConfigured(
                "A bound tenant needs a transaction: open transaction.atomic() around the query."
            )
        return super().create_cursor(name)
