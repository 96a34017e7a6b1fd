"""The answer to a line of a backfill."""

from meterctl.core.backfill.answers import Answer
from meterctl.core.results import Warning


def test_an_answer_carries_the_warnings_of_its_receipt() -> None:
    answer = Answer(3, "applied", None, "acme", "debit:d1", 1, -5, None, (Warning("took_effect_later", "at noon"),))
    assert answer.document() == {
        "line": 3,
        "status": "applied",
        "reason": None,
        "org": "acme",
        "key": "debit:d1",
        "seq": 1,
        "balance": -5,
        "warnings": [{"code": "took_effect_later", "message": "at noon"}],
    }
