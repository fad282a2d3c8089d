"""Bodies of ``multipart/form-data``: their fields, and where each lies, so that one can be replaced in place."""

import hashlib
import re
from dataclasses import dataclass

from accounts_app.exceptions import InvalidInput

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb';\s*name="([^"]*)"', re.IGNORECASE)
_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
_MOST_PARTS = 200


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its name, whether it is a file, where its value begins and ends in the body."""

    name: str
    is_file: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Form:
    """A body's parts in order, and ``values``: those of the fields that are no files."""

    content_type: str
    parts: tuple[Part, ...]
    values: dict[str, str]
    digest: str

    def with_value(self, body: bytes, name: str, value: str) -> bytes:
        """Return ``body`` with another value for the field ``name`` (it must be there), and no other change."""
        if self.values[name] == value:
            return body
        (part,) = (part for part in self.parts if part.name == name)
        return b"".join((body[: part.start], value.encode(), body[part.end :]))

    def files(self, *names: str) -> list[Part]:
        """Return the files sent under one of these names, or as a list of it (``image[]``)."""
        return [part for part in self.parts if part.is_file and part.name.removesuffix("[]") in names]


def form(body: bytes, content_type: str) -> Form:
    """Parse ``body``; raises InvalidInput for what is no form, and for a plain field sent twice."""
    found = _BOUNDARY.search(content_type)
    if not found:
        raise InvalidInput("The content type names no boundary.")
    parts = _parts(body, b"--" + (found[1] or found[2]).encode())
    digest = hashlib.sha256()
    values: dict[str, str] = {}
    for part in parts:
        value = body[part.start : part.end]
        # The boundary is another one each time that the same form is sent.
        digest.update(b"%s\n%d\n%s" % (part.name.encode(), len(value), value))
        if part.is_file or part.name.endswith("[]"):
            continue
        if part.name in values:
            raise InvalidInput.for_field(part.name, "This field came twice.")
        values[part.name] = _text(value, part.name)
    return Form(content_type, tuple(parts), values, digest.hexdigest())


def _parts(body: bytes, delimiter: bytes) -> list[Part]:
    parts: list[Part] = []
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise _malformed()
    while not body.startswith(b"--", at := at + len(delimiter)):
        start = body.find(b"\r\n\r\n", at)
        end = body.find(b"\r\n" + delimiter, start + 4)
        head = body[at:start]
        if start < 0 or end < 0 or not head.startswith(b"\r\n") or delimiter in head or len(parts) == _MOST_PARTS:
            raise _malformed()
        parts.append(_part(head, start + 4, end))
        at = end + 2
    return parts


def _part(head: bytes, start: int, end: int) -> Part:
    dispositions = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-disposition:")]
    named = _NAME.findall(b"".join(dispositions))
    if len(dispositions) != 1 or len(named) != 1:
        raise _malformed()
    return Part(_text(named[0], "name"), bool(_FILE.search(dispositions[0])), start, end)


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput.for_field(name, "This field is not valid UTF-8.") from None


def _malformed() -> InvalidInput:
    return InvalidInput("The body is no valid form.")
