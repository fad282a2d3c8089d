"""Rule 202: secrets and personal data. A pattern finds a candidate, arithmetic rules out what only looks like one."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from prompts_app.contracts import Finding, Severity
from prompts_app.services.linter.findings import finding, replacement
from prompts_app.services.linter.source import Source


def _digits(text: str) -> list[int]:
    return [int(sign) for sign in text if sign.isascii() and sign.isdigit()]


def _is_card(text: str) -> bool:
    digits = _digits(text)
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_citizen(text: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(weight * int(digit) for weight, digit in zip(weights, text, strict=False))
    return "10X98765432"[total % 11] == text[-1].upper()


def _is_real_address(text: str) -> bool:
    # These names are kept free for examples (RFC 2606).
    domain = text.rpartition("@")[2].lower()
    return not re.search(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$", domain)


def _is_secret_value(text: str) -> bool:
    value = re.split(r"[:=]", text, maxsplit=1)[1].strip(" \"'")
    return not value.startswith(("{", "<", "$", "*")) and len(set(value)) > 3


def _always(text: str) -> bool:
    return True


@dataclass(frozen=True)
class _Kind:
    pattern: re.Pattern[str]
    name: Promise
    secret: bool
    is_real: Callable[[str], bool] = _always


_KINDS = (
    _Kind(re.compile(r"(?<![\w-])sk-[A-Za-z0-9_-]{16,200}"), _("an API key"), secret=True),
    _Kind(re.compile(r"(?<!\w)(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)"), _("an AWS key"), secret=True),
    _Kind(re.compile(r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,100})"), _("a GitHub token"), secret=True),
    _Kind(re.compile(r"(?<!\w)xox[abprs]-[A-Za-z0-9-]{10,100}"), _("a Slack token"), secret=True),
    _Kind(re.compile(r"(?<!\w)AIza[\w-]{35}(?![\w-])"), _("a Google API key"), secret=True),
    _Kind(
        re.compile(r"(?<![\w-])eyJ[\w-]{10,2000}\.eyJ[\w-]{10,2000}\.[\w-]{10,1000}"), _("a signed token"), secret=True
    ),
    _Kind(re.compile(r"-----BEGIN (?:[A-Z]{2,12} ){0,3}PRIVATE KEY-----"), _("a private key"), secret=True),
    _Kind(
        re.compile(
            r"(?i)(?<!\w)(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?token|密码|口令|密钥)"
            r"[ \t]{0,4}[:=：][ \t]{0,4}[\"']?[^\s\"'，。；]{6,100}"
        ),
        _("a password"),
        secret=True,
        is_real=lambda text: _is_secret_value(text.replace("：", ":")),
    ),
    _Kind(
        re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-]|\w)"), _("a card number"), secret=False, is_real=_is_card
    ),
    _Kind(
        re.compile(r"(?<!\w)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\w)"),
        _("an identity card's number"),
        secret=False,
        is_real=_is_citizen,
    ),
    _Kind(
        re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"),
        _("an e-mail address"),
        secret=False,
        is_real=_is_real_address,
    ),
    _Kind(
        re.compile(r"(?<![\d\w.-])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![\d\w])"),
        _("a phone number"),
        secret=False,
    ),
    _Kind(re.compile(r"(?<![\d\w-])\d{3}-\d{2}-\d{4}(?![\d\w-])"), _("a social security number"), secret=False),
)


def private_data(source: Source, personal: Severity) -> Iterator[Finding]:
    """202: secrets are errors; how bad personal data is depends on the kind of text."""
    last_end = 0
    for start, end, rank in sorted(_candidates(source.text)):
        if start < last_end:
            continue
        last_end = end
        kind = _KINDS[rank]
        message = _("This looks like %(kind)s.") % {"kind": kind.name}
        fix = replacement(source, start, end, "███", safe=False)
        yield finding("202", "error" if kind.secret else personal, source, start, end, str(message), fix)


def _candidates(text: str) -> Iterator[tuple[int, int, int]]:
    for rank, kind in enumerate(_KINDS):
        for match in kind.pattern.finditer(text):
            if kind.is_real(match[0]):
                yield match.start(), match.end(), rank
