"""Modules and single names of other libraries that are loaded when they are first used.

Libraries import them for functions that no command calls: to open a web page, to look at a shell, to parse an address,
to read a packed module, to talk to MongoDB without blocking. To load them takes a third of the start of a command.

A stand-in waits in `sys.modules`. A name that it lacks loads the module, so a library that uses more of it than today
starts more slowly and works as before.

Not by `importlib.util.LazyLoader`: until Python 3.12 the second import of a module loads it.
"""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

#: Modules that others import as a whole and use in functions.
_MODULES = (
    "base64",
    "bz2",
    "calendar",
    "csv",
    "hashlib",
    "ipaddress",
    "linecache",
    "locale",
    "lzma",
    "ntpath",
    "platform",
    "shellingham",
    "shutil",
    "stringprep",
    "subprocess",
    "textwrap",
    "tokenize",
    "traceback",
    "zipfile",
)

#: Names that others import one by one and use in functions. Typer suggests a name for a mistyped one, `pathlib` makes
#: file URLs, and pymongo loads its asynchronous half, `asyncio` with it, and reads the versions of its extras.
_NAMES = {
    "asyncio": (
        "AbstractEventLoop",
        "BaseTransport",
        "Condition",
        "Future",
        "Lock",
        "Transport",
        "events",
        "exceptions",
        "wait_for",
    ),
    "difflib": ("get_close_matches",),
    "gettext": ("gettext", "ngettext"),
    "importlib.metadata": ("requires", "version"),
    "pymongo.asynchronous.mongo_client": ("AsyncMongoClient",),
    "urllib.parse": ("quote_from_bytes",),
}

#: Names that are needed at once, from a small part of a large package: pymongo has a subclass of it.
_PARTS = {"asyncio": {"BufferedProtocol": "asyncio.protocols"}}

#: Calls that are answered without the module: `uuid` makes this one when it is imported.
_ANSWERS = {"platform": {"system": lambda: os.uname().sysname}} if hasattr(os, "uname") else {}


def load_lazily() -> None:
    """Register the stand-ins. Who imports such a module gets its stand-in."""
    for name in (*_MODULES, *_NAMES):
        if name not in sys.modules:
            sys.modules[name] = _StandIn(name).module
            parent, _, child = name.rpartition(".")
            if parent in sys.stdlib_module_names:  # `import a.b` looks for b in a
                setattr(import_module(parent), child, sys.modules[name])


class _StandIn:
    """Has an empty ``module`` that fills itself."""

    def __init__(self, name: str) -> None:
        self.module = ModuleType(name)
        self._name = name
        self._lock = RLock()
        self._has_begun = False
        vars(self.module)["__getattr__"] = self._find

    def _find(self, name: str) -> Any:
        """Return the value of ``name``, perhaps without loading the module. Python asks here for each name that the
        module lacks (PEP 562)."""
        if not self._has_begun:
            if name == "__path__":  # each import of a single name asks for it
                return self._path()
            if name in _NAMES.get(self._name, ()):
                return _Later(self, name)
            if name in _ANSWERS.get(self._name, {}):
                return _ANSWERS[self._name][name]
            if name in _PARTS.get(self._name, {}):
                return getattr(import_module(_PARTS[self._name][name]), name)
        return self.load(name)

    def load(self, name: str) -> Any:
        """Load the module and return what ``name`` names in it; other threads wait for the first one."""
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                self._fill()
                vars(self.module).pop("__getattr__", None)
            if name in vars(self.module):
                return vars(self.module)[name]
        raise AttributeError(f"module {self._name!r} has no attribute {name!r}")

    def _spec(self) -> ModuleSpec:
        """Find the module, which its import would have found."""
        parent = self._name.rpartition(".")[0]
        spec = PathFinder.find_spec(self._name, import_module(parent).__path__ if parent else None)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {self._name!r}", name=self._name)
        return spec

    def _path(self) -> Any:
        places = self._spec().submodule_search_locations
        if places is None:
            raise AttributeError(f"module {self._name!r} is no package")
        return places

    def _fill(self) -> None:
        """Run the module, as its import would have done."""
        spec = self._spec()
        assert spec.loader is not None
        vars(self.module).update(vars(module_from_spec(spec)))
        spec.loader.exec_module(self.module)
        parent, _, child = self._name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, self.module)


class _Later:
    """Stands for a function or a class of a module that is not loaded: to call it, to look into it, to derive from it,
    to use it as a type, each loads the module."""

    def __init__(self, stand_in: _StandIn, name: str) -> None:
        self._stand_in = stand_in
        self._name = name

    def _real(self) -> Any:
        return self._stand_in.load(self._name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._real()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __mro_entries__(self, _: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._real())

    def __getitem__(self, item: Any) -> Any:
        return self._real()[item]

    def __or__(self, other: Any) -> Any:
        return self._real() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._real()
