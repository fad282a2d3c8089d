"""What the commands that read files have in common."""

import sys
from pathlib import Path

from django.core.management.base import CommandError

from accounts_app.exceptions import DeepSpaceError

_LARGEST = 256 * 1024 * 1024


def file_text(path: Path) -> str:
    """Return the text of a file, or of standard input for ``-``; raises CommandError for one that cannot be read."""
    try:
        data = sys.stdin.buffer.read(_LARGEST + 1) if str(path) == "-" else path.read_bytes()
        if len(data) > _LARGEST:
            raise CommandError(f"{path} is larger than {_LARGEST >> 20} MiB: split it.")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text.") from error


def error_words(error: DeepSpaceError) -> str:
    """Return an error with each of its details on a line of its own."""
    return "\n".join([error.message, *(f"{item.field}: {item.message}" for item in error.details)])
