"""Which language a text is in, as far as this room needs to know: Chinese, another script, or nothing to tell by."""

from collections.abc import Iterable

from django.utils.translation import get_language

from prompts_app.models import Language

# One Chinese character says about as much as one word of five letters.
_CHINESE_SHARE = 0.15
_SAMPLE = 4_000


def is_chinese(character: str) -> bool:
    """Whether ``character`` is a Han ideograph."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


def language_of(texts: Iterable[str]) -> Language:
    """Return the language to answer in: that of ``texts``, or the active one when they hold no letters."""
    sample = " ".join(text[:_SAMPLE] for text in texts if isinstance(text, str))
    letters = sum(character.isalpha() for character in sample)
    if not letters:
        return active_language()
    chinese = sum(is_chinese(character) for character in sample)
    return Language.CHINESE if chinese / letters >= _CHINESE_SHARE else Language.ENGLISH


def active_language() -> Language:
    """Return the language of the page or request, as versions name it."""
    return Language.CHINESE if (get_language() or "").lower().startswith("zh") else Language.ENGLISH
