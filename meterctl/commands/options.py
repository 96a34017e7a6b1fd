"""Options and arguments that several commands share."""

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterctl.core.errors import BadInput, name_source
from meterctl.options import FORMATS
from meterctl.wiring import Wiring

if TYPE_CHECKING:  # ``--help`` does not need this import
    from meterctl.core.model import Instant

#: Returns the completions of a word.
Complete = Callable[[typer.Context, str], list[str]]


def argument(metavar: str, description: str, complete: Complete | None = None) -> Any:
    """Return a positional argument."""
    return typer.Argument(metavar=metavar, help=description, show_default=False, autocompletion=complete)


def option(flag: str, metavar: str, description: str, complete: Complete | None = None) -> Any:
    """Return an option with a value."""
    return typer.Option(flag, metavar=metavar, help=description, autocompletion=complete)


def completer(name: str) -> Complete:
    """Return a function of `meterctl.commands.completion`, imported on first use."""

    def offer(context: typer.Context, prefix: str) -> list[str]:
        from meterctl.commands import completion

        words: list[str] = getattr(completion, name)(context, prefix)
        return words

    return offer


def switch(flag: str, description: str) -> Any:
    """Return an option without a value."""
    return typer.Option(flag, help=description)


#: Most worker processes of a command.
MOST_WORKERS = 64


def core_count() -> int:
    """Return the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def worker_count(text: str | None) -> int:
    """Return the number of processes for ``--workers``."""
    from meterctl.core.domain.checks import check_integer

    return 1 if text is None else check_integer(text, "workers", least=1, most=MOST_WORKERS)


Org = Annotated[str, argument("ORG", "The org's id.", completer("complete_orgs"))]
RequireJournal = Annotated[bool, switch("--require-journal", "Exit 10 if there is no journal: for cron.")]


def _text(
    name: str, metavar: str, description: str, *also: str, complete: str = "", hidden: bool = False
) -> inspect.Parameter:
    offer = completer(complete) if complete else None
    declaration = typer.Option(
        f"--{name}".replace("_", "-"), *also, metavar=metavar, help=description, autocompletion=offer, hidden=hidden
    )
    return _shared(name.replace("-", "_"), str | None, declaration, None)


def _flag(name: str, description: str, *also: str) -> inspect.Parameter:
    return _shared(name, bool, typer.Option(f"--{name}".replace("_", "-"), *also, help=description), False)


def _shared(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def output_option(further: tuple[str, ...] = ()) -> inspect.Parameter:
    """Return the option for the output format of a command that has ``further`` formats."""
    description = f"One of {', '.join((*FORMATS, *further))}."
    return _text("output", "FORMAT", description, "-o", complete="complete_formats")


_AUTHOR = _text("actor", "NAME", "The author of the write (else the login name).")

#: On a read it looks like a filter: not offered there, and refused with a hint.
_NO_AUTHOR = _text("actor", "NAME", "Only for writes.", hidden=True)

#: Options of every command, accepted before the command's name too.
SHARED = [
    _text("store", "URL", "sqlite:PATH or mongodb://..."),
    _text("config", "FILE", "The config file."),
    _text("profile", "NAME", "A profile of the config: its store and actor.", complete="complete_profiles"),
    output_option(),
    _flag("json", "Short for -o json."),
    _AUTHOR,
    _text("now", "TIME", "Pin the clock, for tests and rehearsals."),
    _text("log-format", "FORM", "Lines on standard error as json or text, with time and run."),
]


#: The same for commands that only read.
READING = [_NO_AUTHOR if parameter is _AUTHOR else parameter for parameter in SHARED]


#: Options of every command that writes.
WRITING = [
    _flag("dry_run", "Show the result; book nothing."),
    _text("reason", "TEXT", "The reason, kept on the entry."),
    _text("at", "TIME", "The time of the event (else now)."),
    _flag("yes", "Do not ask.", "-y"),
    _flag("over_limit", "Book beyond a limit of the config."),
    _text("expect_balance", "N", "Book only if this is the org's balance now."),
    _text("expect_seq", "N", "Book only if this is the org's newest entry."),
    _flag("quiet", "Print nothing but warnings and errors.", "-q"),
]


#: Options of every command that books for orgs.
PLANNING = [_shared("plan_out", str | None, option("--plan-out", "FILE", "Save it as a plan; book nothing."), None)]


#: Options of commands that cron runs; sweeps define their own --metrics-file.
METRICS = [
    _shared("metrics_file", str | None, option("--metrics-file", "FILE", "Write metrics for Prometheus to FILE."), None)
]


def filter_time(
    wiring: Wiring, name: str, text: str | None, option: str | None = None, *, ends: bool = False
) -> "Instant | None":
    """Return the instant of the filter ``name``; print it if the text is relative.

    ``option`` is its option if that has another name. ``ends``: the filter ends a period, so a day, week or month means
    its end.
    """
    if text is None:
        return None
    from meterctl.core.domain.instants import parse_filter

    with name_source(option or f"--{name.replace(' ', '-')}"):
        instant = parse_filter(text, wiring.now, ends=ends)
    if instant != text:
        print_time(wiring, name, instant)
    return instant


def start_time(wiring: Wiring, option: str, text: str) -> "Instant":
    """Return the instant from which something holds, and print it: a time, or a span such as 30d from now."""
    from meterctl.core.domain.instants import parse_start

    with name_source(option):
        instant = parse_start(text, wiring.at or wiring.now)
    if instant != text:
        print_time(wiring, "from", instant)
    return instant


def expiry_time(wiring: Wiring, text: str, option: str = "--expires", *, never: str | None = None) -> "Instant":
    """Return the instant of an expiry, and print it: the end of a day, or a span such as 30d from now.

    ``never``: the advice for the word ``never``, which only `lot extend` takes.
    """
    from meterctl.core.domain.instants import parse_expiry

    with name_source(option):
        if text == "never" and never is not None:
            raise BadInput("'never' is not a time", hint=never, code="bad_time")
        instant = parse_expiry(text, wiring.at or wiring.now)
    if instant != text:
        print_time(wiring, "expires", instant)
    return instant


def print_time(wiring: Wiring, name: str, instant: "Instant") -> None:
    """Print the instant of a relative time, in every format but JSON, which includes it."""
    if wiring.output != "json":
        typer.echo(f"{name} {instant}", err=True)
