"""Modules of the standard library that are loaded when a name in them is first used.

typer and pathlib import them for functions that no command calls: to open a web page, to look at a shell, to parse an
address. To load them takes a tenth of the start of a command.

Not by `importlib.util.LazyLoader`: until Python 3.12 the second import of a module loads it.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

#: Only modules that others import as a whole and use in functions.
_MODULES = ("bz2", "ipaddress", "locale", "lzma", "subprocess", "textwrap", "tokenize")


def load_lazily() -> None:
    """Register the modules: who imports one gets it, still empty. The first name that it lacks loads it."""
    for name in _MODULES:
        spec = None if name in sys.modules else find_spec(name)
        if spec is not None and spec.loader is not None:
            sys.modules[name] = _lazy_module(spec)


def _lazy_module(spec: ModuleSpec) -> ModuleType:
    module, lock, begun = module_from_spec(spec), RLock(), False

    def load(name: str) -> Any:
        """Load the module and return what ``name`` names in it. Python asks here for each name that it lacks (PEP 562);
        other threads wait for the first one."""
        nonlocal begun
        with lock:
            if not begun and spec.loader is not None:
                begun = True
                spec.loader.exec_module(module)
                vars(module).pop("__getattr__", None)
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(f"module {spec.name!r} has no attribute {name!r}")

    vars(module)["__getattr__"] = load
    return module
