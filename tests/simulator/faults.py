"""Faults in the way of every call of a store, and a point before each where another fiber may go first.

The methods of the ports, or of the collections below the adapter for MongoDB, are called through a `Gate`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.simulator.choices import OF_APPENDS, OF_LISTS, OF_READS, OF_WRITES, Choices, Fault, FaultKind
from tests.simulator.fibers import Scheduler

#: Calls that write; those that write several things, one after the other; all others read.
WRITES = {
    "locks.acquire", "locks.release", "claims.move", "heads.replace",
    "claims.update_one", "locks.delete_one", "locks.find_one_and_update",
}  # fmt: skip
LISTS = {"heads.put", "claims.take", "heads.bulk_write", "claims.insert_many"}

#: Calls that write in order, up to what clashes; no store keeps others out meanwhile.
APPENDS = {"journal.append", "journal.insert_many"}

#: Calls before which nobody else goes: they are made inside a `functools.cached_property`, which up to Python 3.11 is
#: locked for all objects meanwhile.
UNDIVIDED = {"plans.all", "plans.find"}

#: Items of a stream between two points where others may go first.
PAGE = 16


def possible_faults(name: str) -> tuple[FaultKind, ...]:
    if name in APPENDS:
        return OF_APPENDS
    return OF_LISTS if name in LISTS else OF_WRITES if name in WRITES else OF_READS


class Gate:
    """Every call of a store passes here. ``unreachable`` makes the error of a call that gets no answer; ``unheard`` are
    errors in which a call may end that nobody waits for."""

    def __init__(
        self,
        scheduler: Scheduler,
        choices: Choices,
        unreachable: Callable[[str], Exception],
        unheard: tuple[type[Exception], ...] = (),
    ) -> None:
        self.calls = 0
        self.faults: Counter[str] = Counter()
        #: The highest seq of each org whose head was put, and acknowledged.
        self.heads: dict[str, int] = {}
        #: What happened, line by line; None while nobody wants to know.
        self.history: list[str] | None = None
        self._scheduler = scheduler
        self._choices = choices
        self._unreachable = unreachable
        self._unheard = unheard

    def call(self, name: str, effect: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """The answer to a call, or what else becomes of it."""
        self._scheduler.check_alive()
        if name in UNDIVIDED:
            self._scheduler.current.steps += 1
        else:
            self._scheduler.step()
        self.calls += 1
        fault = self._choices.fault(self._scheduler.current, possible_faults(name))
        if fault is not None:
            self.faults[fault.kind] += 1
            if self.history is not None:
                self.tell(f"{name}({briefly(*arguments)}): {fault.kind} ({fault.amount})")
            if fault.kind == "apart" and arguments[0]:
                return self._apart(fault.amount, effect, arguments, more)
            self._fail(name, fault, effect, arguments, more)
        answer = effect(*arguments, **more)
        if name == "heads.put":
            self.heads.update((head.org, max(head.seq, self.heads.get(head.org, 0))) for head in arguments[0])
        if self.history is not None:
            self.tell(f"{name}({briefly(*arguments)}) -> {briefly(answer)}")
        return answer

    def stream(self, name: str, effect: Callable[..., Iterator[Any]], *arguments: Any, **more: Any) -> Iterator[Any]:
        """As `call`, where the answer comes in pages."""
        for count, item in enumerate(self.call(name, effect, *arguments, **more), 1):
            yield item
            if count % PAGE == 0:
                self._scheduler.step()

    def tell(self, line: str) -> None:
        """Add a line to the history, as something that the current fiber does."""
        if self.history is not None:
            fiber = self._scheduler.current
            self.history.append(f"{fiber.name}:{fiber.steps} {line}")

    def _fail(
        self, name: str, fault: Fault, effect: Callable[..., Any], arguments: tuple[Any, ...], more: dict[str, Any]
    ) -> None:
        match fault.kind:
            case "crash after" | "lost answer":
                self._ignore(effect, arguments, more)
            case "crash between" | "part":
                items, *rest = arguments
                if part := items[: fault.amount % (len(items) + 1)]:
                    self._ignore(effect, (part, *rest), more)
            case "crash, late" | "late":
                self._scheduler.later(fault.amount, lambda: self._land(name, effect, arguments, more))
        if fault.kind.startswith("crash"):
            self._scheduler.crash()
        raise self._unreachable(f"no answer from {name}")

    def _apart(self, amount: int, effect: Callable[..., Any], arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
        entries, *rest = arguments
        first = amount % len(entries)
        taken = effect(entries[:first], *rest, **more) if first else 0
        if first and taken not in (None, first) and isinstance(taken, int):
            return taken
        self._scheduler.step()
        return _added(taken, first, lambda: effect(entries[first:], *rest, **more))

    def _land(self, name: str, effect: Callable[..., Any], arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        if self.history is not None:
            self.history.append(f"late: {name}({briefly(*arguments)})")
        self._ignore(effect, arguments, more)

    def _ignore(self, effect: Callable[..., Any], arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        """Nobody hears what came of it."""
        try:
            effect(*arguments, **more)
        except self._unheard:
            return


def _added(taken: Any, first: int, rest: Callable[[], Any]) -> Any:
    """The answer to an append whose ``first`` entries are in: how many are, or the error that says which is not."""
    try:
        answer = rest()
    except Exception as error:
        for failure in getattr(error, "details", {}).get("writeErrors", []):
            failure["index"] += first
        raise
    return taken + answer if isinstance(answer, int) else answer


class Gated:
    """An object whose methods are called through a gate. ``streams`` answer in pages."""

    def __init__(self, gate: Gate, name: str, real: Any, streams: frozenset[str] = frozenset()) -> None:
        self._gate = gate
        self._name = name
        self._real = real
        self._streams = streams

    def __getattr__(self, method: str) -> Any:
        real, name = getattr(self._real, method), f"{self._name}.{method}"
        if not callable(real):
            return real
        passed = self._gate.stream if method in self._streams else self._gate.call

        def call(*arguments: Any, **more: Any) -> Any:
            return passed(name, real, *arguments, **more)

        self.__dict__[method] = call
        return call


def briefly(*values: Any) -> str:
    """Arguments or answers, as short as they can be told."""
    return ", ".join(map(_brief, values))


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "seq" in value and "key" in value:
        return f"{value.get('org', '')}#{value['seq']} {value['key']} {value.get('amount', '')}".strip()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_brief(name)}: {_brief(item)}" for name, item in value.items()) + "}"
    if hasattr(value, "_asdict") and hasattr(value, "seq"):
        return f"head {value.org}#{value.seq}"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return "[" + ", ".join(map(_brief, items)) + "]"
    return str(value) if value is None or isinstance(value, str | int) else f"<{type(value).__name__}>"
