"""Count the answers to a file, and keep the first ones that need attention."""

from collections.abc import Sequence
from itertools import islice

from meterctl.core.backfill.answers import Answer
from meterctl.core.backfill.repeats import TWICE, FileKeys
from meterctl.core.results import Backfill

#: Answers with a message that an account keeps.
MOST_ANSWERS = 10

LATE = "took_effect_later"


class Account:
    """The answers so far.

    ``tally`` counts them, and ``line`` is the last line number. ``to_look_at`` counts the answers with a message;
    ``examples`` holds the first of them.
    """

    def __init__(self) -> None:
        self.tally = Backfill()
        self.line = 0
        self.examples: list[Answer] = []
        self.to_look_at = 0
        self.keys = FileKeys()

    def take(self, answers: Sequence[Answer]) -> list[Answer]:
        """Count the answers; return them with repeated keys results."""
        results = self.keys.mark(answers)
        tally = self.tally
        tally.count(answer.status for answer in results)
        tally.late += sum(1 for answer in results if answer.warnings and LATE in dict(answer.warnings))
        self.line = results[-1].line
        messages = [answer for answer in results if answer.message is not None]
        tally.twice_in_file += sum(1 for answer in messages if answer.reason == TWICE)
        self.to_look_at += len(messages)
        self.examples += islice(messages, MOST_ANSWERS - len(self.examples))
        return results
