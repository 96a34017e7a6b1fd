"""Modules of the standard library that are loaded when a name in them is first used.

Libraries import them for functions that no command calls: to open a web page, to look at a shell, to parse an address,
to read a packed module. To load them takes a tenth of the start of a command.

Not by `importlib.util.LazyLoader`: until Python 3.12 the second import of a module loads it.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

#: Only modules that others import as a whole and use in functions.
_MODULES = (
    "bz2",
    "calendar",
    "csv",
    "ipaddress",
    "locale",
    "lzma",
    "subprocess",
    "textwrap",
    "tokenize",
    "zipfile",
)


def load_lazily() -> None:
    """Register the modules: who imports one gets it, still empty. The first name that it lacks loads it."""
    for name in _MODULES:
        if name not in sys.modules:
            sys.modules[name] = _lazy_module(name)


def _lazy_module(module_name: str) -> ModuleType:
    module, lock, begun = ModuleType(module_name), RLock(), False

    def load(name: str) -> Any:
        """Load the module and return what ``name`` names in it. Python asks here for each name that it lacks (PEP 562);
        other threads wait for the first one."""
        nonlocal begun
        with lock:
            if not begun:
                begun = True
                _fill(module)
                vars(module).pop("__getattr__", None)
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(f"module {module_name!r} has no attribute {name!r}")

    vars(module)["__getattr__"] = load
    return module


def _fill(module: ModuleType) -> None:
    """Find the module and run it, as its import would have done."""
    spec = PathFinder.find_spec(module.__name__)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {module.__name__!r}", name=module.__name__)
    vars(module).update(vars(module_from_spec(spec)))
    spec.loader.exec_module(module)
