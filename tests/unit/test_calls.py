"""What a line, an entry and a debit cost in calls: the same on every machine, so a slower path cannot slip in."""

import pytest

from bench import calls, path


def test_no_line_and_no_entry_takes_more_calls_than_its_bound() -> None:
    assert [count for count in calls.measure() if count.calls > count.most] == []


def test_a_debit_runs_no_more_functions_than_its_bound() -> None:
    found = path.trace_debit().bounds
    assert all(count <= bound for count, bound in zip(found, path.BOUNDS, strict=True)), found


def test_calls_are_counted() -> None:
    assert calls.calls_of(lambda: [abs(number) for number in range(50)]) >= 50


def test_a_bound_that_is_exceeded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path, "BOUNDS", path.Bounds(1, 1, 1))
    monkeypatch.setattr("sys.argv", ["path", "--check"])
    assert path.main() == 1
    monkeypatch.setattr(calls, "measure", lambda: [calls.Count("a line", 2, 1)])
    assert calls.main() == 1
