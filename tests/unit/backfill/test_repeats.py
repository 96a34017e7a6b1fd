"""The same key twice in a file."""

import pytest

from meterctl.core.backfill import repeats
from meterctl.core.backfill.account import Account
from meterctl.core.backfill.answers import Answer
from meterctl.core.backfill.repeats import FileKeys
from meterctl.core.results import Warning


def answer(line: int, status: str, key: str | None = "debit:d1", org: str | None = "acme") -> Answer:
    message = "units differ" if status in ("conflict", "refused") else None
    return Answer(line, status, None, org, key, 1, 0, message)


def reasons(*answers: Answer) -> list[str | None]:
    return [marked.reason for marked in FileKeys().mark(answers)]


@pytest.mark.parametrize("first", ["applied", "planned", "replayed", "conflict"])
@pytest.mark.parametrize("second", ["replayed", "conflict"])
def test_a_key_that_a_file_uses_twice_is_told(first: str, second: str) -> None:
    assert reasons(answer(1, first), answer(2, second), answer(3, second)) == [None, "twice_in_file", "twice_in_file"]


def test_another_key_or_org_is_none_of_it() -> None:
    others = (answer(2, "replayed", "debit:d2"), answer(3, "replayed", org="other"), answer(4, "invalid", None, None))
    assert reasons(answer(1, "applied"), *others) == [None] * 4


def test_what_was_refused_used_no_key() -> None:
    assert reasons(answer(1, "refused"), answer(2, "applied")) == [None, None]


def test_the_message_keeps_what_differs() -> None:
    _, second = FileKeys().mark([answer(1, "applied"), answer(2, "conflict")])
    assert "debit:d1" in str(second.message)
    assert "units differ" in str(second.message)


def test_only_so_many_keys_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MOST_KEYS", 3)
    keys = FileKeys()
    keys.mark([answer(n, "applied", f"debit:{n}") for n in range(3)])
    assert keys.is_full
    assert keys.mark([answer(9, "replayed", "debit:1")])[0].reason is None


def test_an_account_counts_what_is_late_and_what_stands_twice() -> None:
    account = Account()
    late = answer(1, "applied")._replace(warnings=(Warning("took_effect_later", "at noon"),))
    other = answer(2, "applied", "debit:d2")._replace(warnings=(Warning("clock_pinned", "to noon"),))
    account.take([late, other, answer(3, "replayed")])
    tally = account.tally
    assert (tally.lines, tally.late, tally.twice_in_file, account.line, account.to_look_at) == (3, 1, 1, 3, 1)
    assert [kept.line for kept in account.examples] == [3]
