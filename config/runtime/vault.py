"""Secrets that are made once and kept in ``DATA_DIR/secrets``, readable by their owner only."""

import os
import secrets
from pathlib import Path


def kept_secret(file: Path, length: int = 48) -> str:
    """Return the secret in ``file``, made from ``length`` random bytes the first time."""
    if file.exists() and (kept := file.read_text()):
        return kept
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(file, secrets.token_urlsafe(length))
    return file.read_text()


def write_private(file: Path, text: str) -> None:
    """Write the file so that nobody else can ever read it and a crash leaves the old one or the new one."""
    partial = file.with_name(f"{file.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    partial.replace(file)
