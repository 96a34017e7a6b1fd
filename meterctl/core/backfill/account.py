"""What a file came to: every line counted, and the first ones that somebody should look at."""

from collections.abc import Sequence
from itertools import islice

from meterctl.core.backfill.answers import Answer
from meterctl.core.backfill.repeats import TWICE, FileKeys
from meterctl.core.results import Backfill

#: Answers to look at that an account keeps.
KEPT = 10

LATE = "took_effect_later"


class Account:
    """The answers so far: ``tally`` counts them, ``line`` is the last one's, ``kept`` are the first of those that
    carry a message, of which there are ``to_look_at``."""

    def __init__(self) -> None:
        self.tally = Backfill()
        self.line = 0
        self.kept: list[Answer] = []
        self.to_look_at = 0
        self.keys = FileKeys()

    def take(self, answers: Sequence[Answer]) -> list[Answer]:
        """Count the answers, and return them as they are to be told."""
        marked = self.keys.mark(answers)
        tally = self.tally
        tally.count(answer.status for answer in marked)
        tally.late += sum(1 for answer in marked if answer.warnings and LATE in dict(answer.warnings))
        self.line = marked[-1].line
        messages = [answer for answer in marked if answer.message is not None]
        tally.twice_in_file += sum(1 for answer in messages if answer.reason == TWICE)
        self.to_look_at += len(messages)
        self.kept += islice(messages, KEPT - len(self.kept))
        return marked
