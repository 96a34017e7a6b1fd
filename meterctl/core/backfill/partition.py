"""The lines of a backfill in parts, by org, so that several can book them, and their answers together again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, takewhile
from operator import attrgetter
from typing import NamedTuple
from zlib import crc32

from meterctl.core.backfill.booker import Answer
from meterctl.core.errors import BadInput
from meterctl.core.files.operation_lines import Document, Line


class Part(NamedTuple):
    """Some lines, in file order: their numbers, and what each holds."""

    numbers: list[int]
    contents: list[Document | BadInput]

    def lines(self) -> Iterator[Line]:
        return map(Line, self.numbers, self.contents)


def split(lines: Iterable[Line], count: int) -> list[Part]:
    """``count`` parts of ``lines``: those of one org always make it into the same one, and what names no org into the
    first."""
    parts = [Part([], []) for _ in range(count)]
    for number, content in lines:
        numbers, contents = parts[_part_of(content, count)]
        numbers.append(number)
        contents.append(content)
    return parts


def _part_of(content: Document | BadInput, count: int) -> int:
    org = None if isinstance(content, BadInput) else content.get("org")
    # A lone surrogate, which is refused later, must not stop the others here.
    return crc32(org.encode(errors="surrogatepass")) % count if isinstance(org, str) else 0


class Merged(NamedTuple):
    """Answers in file order, up to the first line that has none; ``lacking`` is the part which that one is in."""

    answers: list[Answer]
    lacking: int | None


def merge(asked: Sequence[Sequence[int]], answered: Sequence[list[Answer]]) -> Merged:
    """The answers of all parts to the lines that each was asked, where a part may have stopped before its last one."""
    answers = sorted(chain.from_iterable(answered), key=attrgetter("line"))
    lacking = [
        (numbers[len(given)], part)
        for part, (numbers, given) in enumerate(zip(asked, answered, strict=True))
        if len(given) < len(numbers)
    ]
    if not lacking:
        return Merged(answers, None)
    first, part = min(lacking)
    return Merged(list(takewhile(lambda answer: answer.line < first, answers)), part)
