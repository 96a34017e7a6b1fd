"""Style and architecture as tests: what a reviewer would otherwise have to remember.

A rule takes a source and yields what breaks it, as ``(line, what is wrong and how to mend it)``. To change a rule,
change its table here, in the same commit as the code that needs it.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]

Finding = tuple[int, str]

#: Packages that only one place may import.
OWNED = {
    "pymongo": "meterctl/core/stores/mongo/",
    "bson": "meterctl/core/stores/mongo/",
    "jinja2": "meterctl/views/page.py",
    "stripe": "meterctl/core/payments/stripe/gateway.py",
    "sqlite3": "meterctl/core/stores/sqlite/",
    "orjson": "meterctl/core/domain/canonical.py",
}

#: The one file that knows the private parts of typer.
CLICK = "meterctl/commands/click.py"

#: Modules of the core that decide and compute: they import each other and, of all else, only what does no I/O.
PURE = {
    "domain", "errors", "model", "reads.balance_series", "reads.forecast",
    "reads.movements", "reads.outstanding", "reads.period",
}  # fmt: skip
PURE_MAY_IMPORT = {
    "array", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal", "difflib", "enum",
    "fractions", "functools", "hashlib", "heapq", "importlib", "itertools", "json", "math", "operator",
    "orjson", "re", "reprlib", "string", "types", "typing", "unicodedata",
}  # fmt: skip

#: Names that nothing may use but the one file given.
BANNED = {
    "datetime.now": "meterctl/process/clock.py",
    "datetime.utcnow": "meterctl/process/clock.py",
    "datetime.today": "meterctl/process/clock.py",
    "date.today": "meterctl/process/clock.py",
    "time.time": "meterctl/process/clock.py",
    "time.time_ns": "meterctl/process/clock.py",
    "time.sleep": "meterctl/process/clock.py",
    "os._exit": "meterctl/process/leaving.py",
    "print": "meterctl/__main__.py",
    "eval": None,
    "exec": None,
}

#: Iterators that never stop by themselves.
ENDLESS = re.compile(r"\b(count|cycle)$")

MAX_FUNCTION, MAX_MOST_FUNCTIONS, MAX_FILE = 70, 49, 400


class Source:
    """A file with its syntax tree; ``path`` is relative to the project."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.nodes = list(ast.walk(ast.parse(text, path)))

    @property
    def module(self) -> str:
        parts = PurePosixPath(self.path).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> list[Finding]:
        """Every module that is imported, and every name from one, wherever in the file."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node.lineno, name.name) for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [(node.lineno, f"{node.module}.{name.name}") for name in node.names]
        return found

    @cached_property
    def names(self) -> list[Finding]:
        """Every name and dotted name that is read."""
        return [
            (node.lineno, ast.unparse(node))
            for node in self.nodes
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
        ]

    @property
    def functions(self) -> Iterator[tuple[int, str, int]]:
        """Line, name and length of every function."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def owned_packages(source: Source) -> Iterator[Finding]:
    for line, name in source.imports:
        owner = OWNED.get(name.split(".")[0])
        if owner and not source.path.startswith(owner):
            yield line, f"imports {name}; only {owner} may: call what it offers"


def one_file_reaches_into_typer(source: Source) -> Iterator[Finding]:
    """Typer keeps its click to itself, so a new version may move any of it."""
    for line, name in source.imports + source.names:
        if re.search(r"\b_click\b", name) and source.path != CLICK:
            yield line, f"uses {name}; only {CLICK} may: take it from there"


def core_needs_only_the_standard_library(source: Source) -> Iterator[Finding]:
    if not within(source.module, "meterctl.core"):
        return
    known = sys.stdlib_module_names | OWNED.keys() | {"meterctl"}
    for line, name in source.imports:
        if name.split(".")[0] not in known:
            yield line, f"imports {name}; the core has no use for it: do that in a command, in config or in render"


def core_knows_no_adapter(source: Source) -> Iterator[Finding]:
    adapters = [f"meterctl.core.{name}" for name in ("stores.mongo", "stores.sqlite", "payments")]
    if not within(source.module, "meterctl.core") or source.module == "meterctl.core.stores.url":  # it chooses one
        return
    for line, name in source.imports:
        for adapter in adapters:
            if within(name, adapter) and not within(source.module, adapter):
                yield line, f"imports {name}; depend on a protocol in ports, and let wiring choose the adapter"


def pure_modules_do_no_io(source: Source) -> Iterator[Finding]:
    if not any(within(source.module, f"meterctl.core.{name}") for name in PURE):
        return
    allowed = PURE_MAY_IMPORT | {f"meterctl.core.{name}" for name in PURE}
    for line, name in source.imports:
        if not any(within(name, module) for module in allowed):
            yield line, f"imports {name}; {source.path} is pure: take the value as an argument"
    for line, name in source.names:
        if name == "open":
            yield line, f"opens a file; {source.path} is pure: take what is in it as an argument"


def banned_names(source: Source) -> Iterator[Finding]:
    for line, name in source.imports + source.names:
        for banned, owner in BANNED.items():
            is_it = name == banned or ("." in banned and name.endswith(f".{banned}"))
            if is_it and source.path != owner:
                yield line, f"uses {banned}" + (f"; only {owner} may" if owner else "")


def only_cli_catches_everything(source: Source) -> Iterator[Finding]:
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler):
            passes_on = ast.unparse(node.body[-1]) == "raise"  # then it only cleans up
            caught = "" if passes_on else ast.unparse(node.type) if node.type else "Exception"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = ast.unparse(node)
        else:
            continue
        if re.search(r"\b(Base)?Exception\b", caught) and source.path != "meterctl/cli.py":
            yield node.lineno, "catches everything; name the errors that can be handled here, cli.main has the rest"


def endless_loops_say_what_bounds_them(source: Source) -> Iterator[Finding]:
    for node in source.nodes:
        if isinstance(node, ast.While):
            endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        elif isinstance(node, ast.For):
            endless = isinstance(node.iter, ast.Call) and bool(ENDLESS.search(ast.unparse(node.iter.func)))
        else:
            continue
        if endless and "# bounded:" not in source.lines[node.lineno - 1]:
            yield node.lineno, "loops for ever; bound it, or say on this line what does: # bounded: by …"


def functions_are_short(source: Source) -> Iterator[Finding]:
    for line, name, length in source.functions:
        if length > MAX_FUNCTION:
            yield line, f"{name} has {length} lines, {MAX_FUNCTION} are the most; give its parts names"


def files_are_short(source: Source) -> Iterator[Finding]:
    if len(source.lines) > MAX_FILE:
        yield MAX_FILE, f"has {len(source.lines)} lines, {MAX_FILE} are the most; move out what stands on its own"


def no_paths_of_one_machine(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        if found := re.search(r"(?<![\w.])/(work|tmp|home|root)/", line):
            yield number, f"names {found[0]}, a place on one machine; start from the project's root or tmp_path"


CODE_RULES = [
    owned_packages,
    one_file_reaches_into_typer,
    core_needs_only_the_standard_library,
    core_knows_no_adapter,
    pure_modules_do_no_io,
    banned_names,
    only_cli_catches_everything,
    endless_loops_say_what_bounds_them,
    functions_are_short,
    files_are_short,
    no_paths_of_one_machine,
]


def sources(folder: str) -> list[Source]:
    files = sorted((ROOT / folder).rglob("*.py"))
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files]


CODE = sources("meterctl")


def complaints(rule: Callable[[Source], Iterable[Finding]], where: Iterable[Source]) -> list[str]:
    return [f"{source.path}:{line}: {what}" for source in where for line, what in rule(source)]


def check(rule: Callable[[Source], Iterable[Finding]], where: Iterable[Source]) -> None:
    if found := complaints(rule, where):
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("rule", CODE_RULES, ids=lambda rule: rule.__name__)
def test_code(rule: Callable[[Source], Iterable[Finding]]) -> None:
    check(rule, CODE)


def names_defined_twice(where: Iterable[Source]) -> list[str]:
    """Name every class that more than one module defines, private ones too, with the modules."""
    modules = defaultdict(set)
    for source in where:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                modules[node.name].add(source.path)
    return [f"{name}: {', '.join(sorted(paths))}" for name, paths in sorted(modules.items()) if len(paths) > 1]


def test_no_type_name_is_defined_in_two_modules() -> None:
    """Or a reader who meets the name must look up the import first."""
    if found := names_defined_twice(CODE):
        pytest.fail("\n".join(found), pytrace=False)


def test_a_type_name_in_two_modules_is_found() -> None:
    twice = [Source(path, "def f():\n    class _Part: ...") for path in ("a.py", "b.py")]
    assert names_defined_twice(twice) == ["_Part: a.py, b.py"]
    assert names_defined_twice([*twice[:1], Source("b.py", "class Part: ...")]) == []


def test_tests_name_no_paths_of_one_machine() -> None:
    check(no_paths_of_one_machine, [source for source in sources("tests") if source.module != "tests.test_tidy"])


def test_most_functions_are_shorter_still() -> None:
    lengths = sorted(length for source in CODE for _, _, length in source.functions)
    assert lengths[len(lengths) * 95 // 100] <= MAX_MOST_FUNCTIONS, "give the parts of the longest functions names"


def test_the_makefile_names_its_environment_only_where_it_can_be_changed() -> None:
    """Or a target would work on another one than VENV says."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if ".venv" in line] == ["VENV ?= .venv"]


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (owned_packages, "core/booking/ledger.py", "from pymongo.errors import PyMongoError"),
        (owned_packages, "wiring.py", "def open():\n    import sqlite3"),
        (owned_packages, "core/stores/mongo/store.py", "import stripe"),
        (one_file_reaches_into_typer, "cli.py", "from typer._click import exceptions"),
        (one_file_reaches_into_typer, "commands/command.py", "import typer\ntyper._click.core.Context"),
        (core_needs_only_the_standard_library, "core/results/base.py", "import pydantic"),
        (core_needs_only_the_standard_library, "core/sweep/sweeper.py", "from rich.progress import Progress"),
        (core_knows_no_adapter, "core/booking/ledger.py", "from meterctl.core.stores import mongo"),
        (core_knows_no_adapter, "core/stores/mongo/store.py", "from meterctl.core.stores.sqlite.store import Store"),
        (pure_modules_do_no_io, "core/domain/rules.py", "import os"),
        (pure_modules_do_no_io, "core/domain/pricing.py", "from meterctl.process import clock"),
        (pure_modules_do_no_io, "core/domain/policy.py", "text = open('x').read()"),
        (banned_names, "core/booking/ledger.py", "import datetime\nt = datetime.datetime.now()"),
        (banned_names, "core/booking/ledger.py", "from time import sleep"),
        (banned_names, "core/booking/ledger.py", "import time\nretry(wait=time.sleep)"),
        (banned_names, "core/booking/ledger.py", "print('here')"),
        (banned_names, "cli.py", "eval('1')"),
        (only_cli_catches_everything, "core/sweep/sweeper.py", "try:\n    x()\nexcept:\n    pass"),
        (only_cli_catches_everything, "core/sweep/sweeper.py", "try:\n    x()\nexcept (OSError, Exception):\n    pass"),
        (only_cli_catches_everything, "core/sweep/sweeper.py", "with contextlib.suppress(Exception):\n    x()"),
        (endless_loops_say_what_bounds_them, "core/booking/ledger.py", "while True:\n    x()"),
        (endless_loops_say_what_bounds_them, "core/booking/ledger.py", "for n in itertools.count():\n    x()"),
        (functions_are_short, "core/booking/ledger.py", "def f():\n" + "    x()\n" * 70),
        (files_are_short, "core/booking/ledger.py", "x()\n" * 401),
        (no_paths_of_one_machine, "wiring.py", "STORE = '/tmp/x.db'"),
    ],
)  # fmt: skip
def test_a_rule_finds_what_breaks_it(rule: Callable[[Source], Iterable[Finding]], path: str, text: str) -> None:
    assert complaints(rule, [Source(f"meterctl/{path}", text)])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("core/stores/mongo/store.py", "from pymongo import MongoClient\nfrom meterctl.core.ports import Store"),
        ("core/payments/stripe/gateway.py", "import stripe"),
        ("commands/click.py", "from typer._click.core import Context"),
        ("core/stores/sqlite/__init__.py", "import sqlite3"),
        ("core/domain/rules.py", "import json\nfrom meterctl.core.domain import instants, weeks"),
        ("process/clock.py", "import time\nnow = time.time()\ntime.sleep(1)"),
        ("core/booking/ledger.py", "import time\nstarted = time.monotonic()\nclock.sleep(1)\nreprint(x)\nre.exec"),
        ("commands/debit.py", "import typer\nfrom meterctl import wiring\nfrom meterctl.core.booking import ledger"),
        ("cli.py", "from meterctl.commands import debit\ntry:\n    x()\nexcept Exception:\n    pass"),
        ("core/booking/ledger.py", "while True:  # bounded: by x\n    x()\nfor n in range(text.count('a')):\n    y()"),
        ("core/booking/ledger.py", "try:\n    x()\nexcept (OSError, ValueError):\n    pass"),
        ("core/booking/ledger.py", "try:\n    x()\nexcept BaseException:\n    y()\n    raise"),
        ("core/booking/ledger.py", "def f():\n" + "    x()\n" * 69),
        ("config/settings.py", "import pydantic\nurl = 'https://example.org/tmp/x'\nof = 'a/work/b'"),
    ],
)  # fmt: skip
def test_rules_leave_alone_what_keeps_them(path: str, text: str) -> None:
    source = Source(f"meterctl/{path}", text)
    assert [found for rule in CODE_RULES for found in complaints(rule, [source])] == []
