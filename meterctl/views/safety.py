"""Text that came from elsewhere, made safe to look at: what would act on a terminal is shown instead."""

import codecs

#: What our own words use beyond ASCII, for streams that cannot say it.
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
        **{chr(dots): "*" for dots in range(0x2801, 0x2900)},  # the dots of a chart, any of them
    }
)


def visible(text: str) -> str:
    """``text`` with control characters, bidi overrides and the like shown as escapes; line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def visible_line(text: str) -> str:
    """`visible` on a single line: line ends are shown too."""
    return visible(text).replace("\n", "\\n")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def speaks_unicode(encoding: str | None) -> bool:
    """Whether a stream of this encoding can carry any text; a stream without one (in memory) can."""
    return encoding is None or codecs.lookup(encoding).name.startswith("utf")


def in_encoding(text: str, encoding: str | None) -> str:
    """``text`` as far as ``encoding`` can say it: our own signs have a plain form, the rest is shown as escapes."""
    if encoding is None or speaks_unicode(encoding):
        return text
    return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
