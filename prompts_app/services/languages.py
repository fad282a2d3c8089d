"""Which language a text is in, as far as this room needs to know: Chinese, another script, or nothing to tell by."""

import re
from collections.abc import Iterable

from django.utils.translation import get_language

from prompts_app.models import Language

# One Chinese character says about as much as one word of five letters.
_CHINESE_SHARE = 0.15
_SAMPLE = 4_000
# Han ideographs, for use in a character class.
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_HAN = re.compile(f"[{HAN}]")


def chinese_count(text: str) -> int:
    """Return how many Han ideographs ``text`` holds."""
    return len(_HAN.findall(text))


def is_chinese(character: str) -> bool:
    """Whether ``character`` is a Han ideograph."""
    return _HAN.match(character) is not None


def language_of(texts: Iterable[str]) -> Language:
    """Return the language to answer in: that of ``texts``, or the active one when they hold no letters."""
    sample = " ".join(text[:_SAMPLE] for text in texts if isinstance(text, str))
    letters = sum(character.isalpha() for character in sample)
    if not letters:
        return active_language()
    return Language.CHINESE if chinese_count(sample) / letters >= _CHINESE_SHARE else Language.ENGLISH


def active_language() -> Language:
    """Return the language of the page or request, as versions name it."""
    return Language.CHINESE if (get_language() or "").lower().startswith("zh") else Language.ENGLISH
