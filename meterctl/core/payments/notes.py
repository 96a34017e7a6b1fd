"""Keep in a file what was read from Stripe, so that an interrupted run can go on."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from meterctl.core.errors import BadInput
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.shop import Problem
from meterctl.core.payments.stripe_reader import Broken

F = TypeVar("F", Payment, Giveback)


class Notes:
    """What was read from Stripe, kept in a file so that an interrupted run can go on; without a path, in no file.

    The first line says which run it belongs to; each further line holds one thing read, or that a list is done.
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
            self._write("\n")  # ends the line that an interruption cut off, maybe just before its own end

    def _load(self, path: Path, held: bytes) -> None:
        first, *lines = [_json(line) for line in held.split(b"\n")]
        about = first.get("about")
        if not isinstance(about, dict) or any(about.get(name) != self.about[name] for name in ("mode", "since")):
            message = f"{path} holds the notes of another run"
            hint = "give the same --since and key as that run, or another --resume file"
            raise BadInput(message, hint=hint, code="bad_resume")
        # The list ends where the first run began: what was made since then would shift its pages.
        self.about = about
        for line in lines:
            if "done" in line:
                self._done.add(line["done"])
            elif "list" in line:
                self._lists.setdefault(line["list"], []).append(line["item"])

    def noted(self, name: str, shape: type[F]) -> Iterator[F | Broken]:
        """The things that a run before this one has noted."""
        for fields in self._lists.get(name, ()):
            yield Broken(*fields) if len(fields) == len(Broken._fields) else _as_noted(shape, fields)

    def is_done(self, name: str) -> bool:
        return name in self._done

    def note(self, name: str, item: Payment | Giveback | Broken) -> None:
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
        """The run has come to its end: its notes are of no use any more."""
        if self._path is not None:
            with _usable(self._path):
                self._path.unlink(missing_ok=True)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        message = f"cannot keep notes in {path}: {problem.strerror}"
        raise BadInput(message, hint="check the path and its rights", code="bad_file") from None


def _json(line: bytes) -> dict[str, Any]:
    """A line of notes; one that an interruption cut off, maybe inside a character, holds nothing."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _as_noted(shape: type[F], fields: list[Any]) -> F:
    found = shape(*fields)
    if isinstance(found, Payment):
        problem = None if found.problem is None else Problem(*found.problem)
        return found._replace(names=tuple(found.names), problem=problem)
    return found
