"""Save the objects read from Stripe to a file, so that an interrupted run can resume."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from meterctl.core.errors import BadInput
from meterctl.core.payments.payments import Giveback, Payment, Problem, Unreadable

#: An object of a list.
Item = TypeVar("Item", Payment, Giveback)


class Notes:
    """The objects read from Stripe, saved to a file to resume from; without a path, nothing is saved.

    The first line identifies the run. Each further line holds one object, or marks a list as complete.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self._path = path
        self._lists: dict[str, list[list[Any]]] = {}
        self._done: set[str] = set()
        self.about = dict(about)
        if path is not None:
            self._begin(path)

    def _begin(self, path: Path) -> None:
        with _usable(path):
            held = path.read_bytes() if path.exists() else b""
        if not held:
            self._append({"about": self.about})
            return
        self._load(path, held)
        if not held.endswith(b"\n"):
            self._write("\n")  # end a line that an interruption cut off

    def _load(self, path: Path, held: bytes) -> None:
        first, *lines = [_json(line) for line in held.split(b"\n")]
        about = first.get("about")
        if not isinstance(about, dict) or any(about.get(name) != self.about[name] for name in ("mode", "since")):
            message = f"{path} belongs to another reconcile run"
            hint = "use that run's --since and STRIPE_API_KEY, or another --resume file"
            raise BadInput(message, hint=hint, code="bad_resume")
        # Keep the first run's end: newer objects would shift the pages of a list.
        self.about = about
        for line in lines:
            if "done" in line:
                self._done.add(line["done"])
            elif "list" in line:
                self._lists.setdefault(line["list"], []).append(line["item"])

    def saved_items(self, name: str, shape: type[Item]) -> Iterator[Item | Unreadable]:
        """Yield the items that an earlier run saved."""
        for fields in self._lists.get(name, ()):
            # A payment or giveback has more fields than an unreadable one.
            yield Unreadable(*fields) if len(fields) <= len(Unreadable._fields) else _restore(shape, fields)

    def is_done(self, name: str) -> bool:
        return name in self._done

    def note(self, name: str, item: Payment | Giveback | Unreadable) -> None:
        self._append({"list": name, "item": list(item)})

    def done(self, name: str) -> None:
        self._append({"done": name})

    def _append(self, line: Mapping[str, Any]) -> None:
        self._write(json.dumps(line) + "\n")

    def _write(self, text: str) -> None:
        if self._path is not None:
            with _usable(self._path), self._path.open("a", encoding="ascii") as file:
                file.write(text)

    def drop(self) -> None:
        """Delete the file once the run is complete."""
        if self._path is not None:
            with _usable(self._path):
                self._path.unlink(missing_ok=True)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        message = f"cannot save progress to {path}: {problem.strerror}"
        raise BadInput(message, hint="check the path and its permissions", code="bad_file") from None


def _json(line: bytes) -> dict[str, Any]:
    """Return a line as an object; empty for one cut off by an interruption."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _restore(shape: type[Item], fields: list[Any]) -> Item:
    item = shape(*fields)
    if isinstance(item, Payment):
        problem = None if item.problem is None else Problem(*item.problem)
        return item._replace(names=tuple(item.names), problem=problem)
    return item
