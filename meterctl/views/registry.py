"""Find the view of a result by the name of its document; `fallback` shows results without one."""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any, TypeVar

from meterctl.core.results import Receipt, Result, WriteResult
from meterctl.views.blocks import Block, Note
from meterctl.views.fallback import show_anything

View = Callable[[Any], Iterable[Block]]
V = TypeVar("V", bound=View)

#: The module that holds the view of each result; only that one is loaded.
MODULES = {
    name: module
    for module, names in {
        "balance": ("balance",),
        "config": ("plan-version", "plans", "plan", "config"),
        "doctor": ("doctor",),
        "entries": ("ledger", "ledger-chart", "receipt", "refund-preview"),
        "explain": ("explain",),
        "lots": ("lots",),
        "orgs": ("orgs",),
        "payments": ("reconcile", "events", "receipts"),
        "runs": ("sweep", "backfill", "verify"),
        "imports": ("import", "audit", "devkit-import"),
        "saved": ("plan-summary", "apply"),
        "statement": ("statement", "report"),
        "weeks": ("meter", "history", "alerts"),
    }.items()
    for name in names
}

_VIEWS: dict[str, View] = {}


def view(*names: str) -> Callable[[V], V]:
    """Return a decorator that registers the view of the results ``names``; `MODULES` lists them."""

    def register(function: V) -> V:
        assert all(MODULES[name] == function.__module__.rpartition(".")[2] for name in names), names
        _VIEWS.update(dict.fromkeys(names, function))
        return function

    return register


def blocks_of(result: Result) -> Iterator[Block]:
    """Return the blocks that show ``result``."""
    if result.name in MODULES:
        import_module(f"meterctl.views.{MODULES[result.name]}")
    return chain(_VIEWS.get(result.name, show_anything)(result), _warnings(result))


def _warnings(result: Result) -> Iterator[Block]:
    if isinstance(result, WriteResult) and not isinstance(result, Receipt):  # a receipt shows its own
        for warning in result.warnings:
            yield Note(f"warning [{warning.code}]: {warning.message}", "warn")
