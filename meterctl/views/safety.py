"""Make foreign text safe to show: escape everything that would act on a terminal."""

import codecs

#: Plain forms of our own signs, for streams that are limited to ASCII.
_ASCII = str.maketrans(
    {
        "·": "-",
        "→": "->",
        "…": "...",
        "✓": "ok",
        "✗": "!",
        "○": "o",
        "█": "#",
        "░": ".",
        "│": "|",
        "┤": "+",
        "┼": "+",
        "─": "-",
        **{chr(dots): "*" for dots in range(0x2801, 0x2900)},  # the dots of a chart
    }
)


def visible(text: str) -> str:
    """Return ``text`` with control characters, bidi overrides and the like as escapes; line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def visible_line(text: str) -> str:
    """Return ``text`` as `visible` does, on a single line: line ends are escaped too."""
    return visible(text).replace("\n", "\\n")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def speaks_unicode(encoding: str | None) -> bool:
    """Return True if a stream of this encoding can carry any text, as one in memory (None) can."""
    return encoding is None or codecs.lookup(encoding).name.startswith("utf")


def in_encoding(text: str, encoding: str | None) -> str:
    """Return ``text`` in the characters of ``encoding``: our own signs in plain form, the rest as escapes."""
    if encoding is None or speaks_unicode(encoding):
        return text
    return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
