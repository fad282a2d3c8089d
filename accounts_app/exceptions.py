"""Errors that people and programs see. Each has a code, a status and a sentence; they are rendered in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field; ``field`` is a name or a JSON pointer."""

    field: str
    message: str


class DeepSpaceError(Exception):
    """The base of all errors with an answer for the caller. ``details`` name the fields at fault."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    default_message: ClassVar[str | Promise] = _("The request could not be carried out.")
    # Further headers of the answer, such as when to try again.
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str = "", *, details: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message)
        self._message = message
        self.details = details

    @property
    def message(self) -> str:
        """The sentence for the caller, in the active language."""
        return str(self._message or self.default_message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidInput(DeepSpaceError):
    """A field is missing, malformed or out of range."""

    code = "invalid_input"
    default_message = _("The input is not valid.")

    @classmethod
    def for_field(cls, field: str, message: str) -> "InvalidInput":
        """Return the error for one field."""
        return cls(message, details=(FieldError(field, str(message)),))


class NotAuthenticated(DeepSpaceError):
    """No valid session or key came with the request."""

    code = "not_authenticated"
    status = 401
    default_message = _("Sign in, or send a valid API key.")


class SecondFactorRequired(NotAuthenticated):
    """The password was right; the account also asks for a one-time code."""

    code = "second_factor_required"
    default_message = _("This account asks for a one-time code as well. Send it as “code”.")


class PermissionRefused(DeepSpaceError):
    """The caller's role does not allow this."""

    code = "permission_denied"
    status = 403
    default_message = _("Your role does not allow this.")


class AddressRefused(PermissionRefused):
    """The request comes from an address that a list keeps out."""

    code = "ip_not_allowed"
    status = 403
    default_message = _("Requests from this address are not allowed.")


class ScopeRefused(PermissionRefused):
    """The API key was made without the scope that this needs."""

    code = "scope_missing"
    default_message = _("This API key was made without the scope that this needs.")


class WrongAccount(PermissionRefused):
    """An invitation was sent to another address than the caller's."""

    code = "wrong_account"
    default_message = _("This invitation was sent to another address. Sign in with that one.")


class NotFound(DeepSpaceError):
    """There is no such thing, or it is not the caller's: the two are never told apart."""

    code = "not_found"
    status = 404
    default_message = _("There is nothing here.")


class CsrfFailed(DeepSpaceError):
    """A form or a session's API call came without the token that proves it is from our own page."""

    code = "csrf_failed"
    status = 403
    default_message = _("This form has expired. Load the page again and repeat what you did.")


class Conflict(DeepSpaceError):
    """The thing is not in a state that allows this, or someone else was faster."""

    code = "conflict"
    status = 409
    default_message = _("Something changed in the meantime.")


class LastOwner(Conflict):
    """An organization keeps at least one owner."""

    code = "last_owner"
    default_message = _("An organization keeps at least one owner. Make someone else an owner first.")


class MethodNotAllowed(DeepSpaceError):
    """The address exists, but not for this HTTP method."""

    code = "method_not_allowed"
    status = 405
    default_message = _("This address does not answer to this method.")


class TooManyRequests(DeepSpaceError):
    """A limit on attempts was reached."""

    code = "too_many_requests"
    status = 429
    default_message = _("Too many attempts. Wait a few minutes, then try again.")


class InternalError(DeepSpaceError):
    """Something nobody foresaw; the trace id finds it in the log."""

    code = "internal_error"
    status = 500
    default_message = _("Something went wrong on our side. It has been recorded.")


class DependencyDown(DeepSpaceError):
    """A service that this needs does not answer; trying again later may work."""

    code = "unavailable"
    status = 503
    default_message = _("A service that this needs is not available. Try again in a moment.")


class TenantRequired(DeepSpaceError):
    """Work was begun without saying for whom."""

    code = "tenant_required"
    status = 403
    default_message = _("No organization is active.")
