"""Find keys that a file uses twice. A spreadsheet may have merged two refs into one, which loses an operation."""

from collections.abc import Iterable

from meterctl.core.backfill.answers import Answer
from meterctl.core.domain.digest_set import DigestSet

#: Most keys compared per file; each takes 12 to 24 bytes of memory.
MOST_KEYS = 4_000_000

TWICE = "twice_in_file"

_USED = frozenset({"applied", "planned", "replayed", "conflict"})
_REPEATED = frozenset({"replayed", "conflict"})


class FileKeys:
    """The keys used so far in a file."""

    def __init__(self) -> None:
        self._keys = DigestSet()
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Return True if no further keys are remembered."""
        return self._count >= MOST_KEYS

    def mark(self, answers: Iterable[Answer]) -> list[Answer]:
        """Return the answers, with repeated keys of this file marked."""
        return [self._mark_one(answer) if answer.status in _USED else answer for answer in answers]

    def _mark_one(self, answer: Answer) -> Answer:
        if self.is_full:
            return answer
        self._count += 1
        if self._keys.add(f"{answer.org} {answer.key}") or answer.status not in _REPEATED:
            return answer
        message = (
            f"an earlier line of this file uses {answer.key}, so this line booked nothing; "
            "if it is another operation, give it another ref"
        )
        if answer.status == "conflict":
            message = f"{message} ({answer.message})"
        return answer._replace(reason=TWICE, message=message)
