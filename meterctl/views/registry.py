"""Which view shows which result, by the name of its document; a result without a view of its own is shown as it is."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, TypeVar

from meterctl.core.results import Result
from meterctl.views.blocks import Block
from meterctl.views.fallback import show_anything

View = Callable[[Any], Iterable[Block]]
V = TypeVar("V", bound=View)

#: Where views stand; each module registers its own.
_MODULES = ("config", "doctor", "entries", "explain", "orgs", "payments", "runs", "saved", "statement")

_VIEWS: dict[str, View] = {}


def view(*names: str) -> Callable[[V], V]:
    """Register a function as the view of the results of these names."""

    def register(function: V) -> V:
        _VIEWS.update(dict.fromkeys(names, function))
        return function

    return register


def blocks_of(result: Result) -> Iterable[Block]:
    """The blocks that show ``result``."""
    for module in _MODULES:
        import_module(f"meterctl.views.{module}")
    return _VIEWS.get(result.name, show_anything)(result)
