"""Translations without GNU gettext: ``python scripts/messages.py update|check|compile [ROOM …]``.

Each room keeps its catalogue in ``<room>/locale``; it also serves ``templates/<room>``. What belongs to no room
(the page frame, sign-in, settings) is in the lowest one, accounts_app. ``update`` extracts and merges, ``check``
fails on anything missing or stale, ``compile`` writes the ``.mo`` files that Django reads.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[1]
LOCALE = "zh_Hans"
ROOMS = ("accounts_app", "billing_app", "gateway_app", "prompts_app", "workflows_app", "tasks_app")
SHARED_BY = "accounts_app"
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


def sources(room: str) -> Iterator[Path]:
    """Yield the files whose strings the room's catalogue holds."""
    folders = [ROOT / room, ROOT / "templates" / room]
    if room == SHARED_BY:
        owned = {ROOT / "templates" / other for other in ROOMS}
        folders += [ROOT / "config", *(p for p in (ROOT / "templates").iterdir() if p not in owned)]
    for folder in folders:
        files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        yield from (p for p in files if p.suffix in {".py", ".html", ".txt"} and "migrations" not in p.parts)


def extracted(room: str) -> Catalog:
    """Return every string of the room, untranslated."""
    catalog = Catalog(locale=LOCALE, project="DeepSpace", charset="utf-8", fuzzy=False)
    for path in sources(room):
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".py":
            # What templatize leaves of a template is not indented as Python wants it.
            text = "\n".join(line.lstrip() for line in templatize(text, origin=str(path)).splitlines())
        rows = extract("python", io.BytesIO(text.encode()), KEYWORDS, options={"encoding": "utf-8"})
        for _line, message, comments, context in rows:
            catalog.add(message, None, [(str(path.relative_to(ROOT)), 1)], auto_comments=comments, context=context)
    return catalog


def stored(room: str) -> Catalog:
    """Return the room's catalogue, empty when there is none yet."""
    path = po_path(room)
    if not path.exists():
        return Catalog(locale=LOCALE, project="DeepSpace", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=LOCALE)


def po_path(room: str) -> Path:
    return ROOT / room / "locale" / LOCALE / "LC_MESSAGES" / "django.po"


def update(room: str) -> list[str]:
    """Merge the strings of the sources into the catalogue; what is gone from them is dropped."""
    catalog = stored(room)
    catalog.update(extracted(room), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    path = po_path(room)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, sort_output=True, include_lineno=False, width=120, omit_header=False)
    return []


def check(room: str) -> list[str]:
    """Return what is missing, fuzzy, malformed or no longer used."""
    catalog, fresh = stored(room), extracted(room)
    problems = [f"{room}: not in the catalogue: {m.id!r}" for m in fresh if m.id and _find(catalog, m) is None]
    for message in catalog:
        if not message.id:
            continue
        if _find(fresh, message) is None:
            problems.append(f"{room}: no longer used: {message.id!r}")
        elif message.fuzzy or not _is_translated(message):
            problems.append(f"{room}: not translated: {message.id!r}")
        problems += [f"{room}: {error}: {message.id!r}" for error in message.check(catalog)]
    return problems


def compile_catalog(room: str) -> list[str]:
    """Write the binary catalogue."""
    if po_path(room).exists():
        with po_path(room).with_suffix(".mo").open("wb") as file:
            write_mo(file, stored(room))
    return []


def _find(catalog: Catalog, message: Message) -> Message | None:
    return catalog.get(message.id, message.context)


def _is_translated(message: Message) -> bool:
    texts = message.string if isinstance(message.string, list | tuple) else [message.string]
    return all(texts)


def main(arguments: list[str]) -> int:
    """Run one verb over the named rooms (all when none is named); 1 when ``check`` found something."""
    verbs = {"update": update, "check": check, "compile": compile_catalog}
    if not arguments or arguments[0] not in verbs or not set(arguments[1:]) <= set(ROOMS):
        sys.stderr.write(f"usage: messages.py {'|'.join(verbs)} [{'|'.join(ROOMS)}]\n")
        return 2
    settings.configure(USE_I18N=False)
    problems = [problem for room in arguments[1:] or ROOMS for problem in verbs[arguments[0]](room)]
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
