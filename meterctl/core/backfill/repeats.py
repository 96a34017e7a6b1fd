"""Keys that a file uses twice: a spreadsheet may have made one ref of two, and then an operation is lost."""

from collections.abc import Iterable

from meterctl.core.backfill.answers import Answer
from meterctl.core.domain.digest_set import Seen

#: Keys of a file that are compared: at 12 to 24 bytes each, what may be spent on it.
MOST_KEYS = 4_000_000

TWICE = "twice_in_file"

_USED = frozenset({"applied", "planned", "replayed", "conflict"})
_REPEATED = frozenset({"replayed", "conflict"})


class FileKeys:
    """The keys that the lines of a file have used so far."""

    def __init__(self) -> None:
        self._seen = Seen()
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Return True once further keys are not remembered any more."""
        return self._count >= MOST_KEYS

    def mark(self, answers: Iterable[Answer]) -> list[Answer]:
        """Return the answers; one that repeats a key of this file says so."""
        return [self._marked(answer) if answer.status in _USED else answer for answer in answers]

    def _marked(self, answer: Answer) -> Answer:
        if self.is_full:
            return answer
        self._count += 1
        if self._seen.add(f"{answer.org} {answer.key}") or answer.status not in _REPEATED:
            return answer
        message = (
            f"{answer.key} stands in this file before, so this line booked nothing; "
            "if it is another operation, give it a ref of its own"
        )
        if answer.status == "conflict":
            message = f"{message} ({answer.message})"
        return answer._replace(reason=TWICE, message=message)
