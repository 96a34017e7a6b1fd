"""Options and arguments that several commands share."""

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterctl.core.errors import name_source
from meterctl.options import FORMATS
from meterctl.wiring import Wiring

if TYPE_CHECKING:  # what the program's own help has no use for
    from meterctl.core.model import Instant

#: Gives the words that a shell may offer for what is being typed.
Complete = Callable[[typer.Context, str], list[str]]


def argument(metavar: str, explained: str, complete: Complete | None = None) -> Any:
    """A positional argument."""
    return typer.Argument(metavar=metavar, help=explained, show_default=False, autocompletion=complete)


def option(flag: str, metavar: str, explained: str, complete: Complete | None = None) -> Any:
    """An option with a value."""
    return typer.Option(flag, metavar=metavar, help=explained, autocompletion=complete)


def completer(name: str) -> Complete:
    """Return the function of `meterctl.commands.completion` of that name; it is loaded when a shell asks."""

    def offer(context: typer.Context, begun: str) -> list[str]:
        from meterctl.commands import completion

        words: list[str] = getattr(completion, name)(context, begun)
        return words

    return offer


def switch(flag: str, explained: str) -> Any:
    """An option that is there or not."""
    return typer.Option(flag, help=explained)


#: Processes that one command may book in.
MOST_WORKERS = 64


def core_count() -> int:
    """Return how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def worker_count(text: str | None) -> int:
    """How many processes ``--workers`` asks for."""
    from meterctl.core.domain.checks import check_integer

    return 1 if text is None else check_integer(text, "workers", least=1, most=MOST_WORKERS)


Org = Annotated[str, argument("ORG", "The org's id.", completer("complete_orgs"))]


def _text(name: str, metavar: str, explained: str, *also: str, complete: str = "") -> inspect.Parameter:
    offer = completer(complete) if complete else None
    declared = typer.Option(f"--{name}".replace("_", "-"), *also, metavar=metavar, help=explained, autocompletion=offer)
    return _shared(name.replace("-", "_"), str | None, declared, None)


def _flag(name: str, explained: str, *also: str) -> inspect.Parameter:
    return _shared(name, bool, typer.Option(f"--{name}".replace("_", "-"), *also, help=explained), False)


def _shared(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


#: Options of every command, accepted before the command's name too.
SHARED = [
    _text("store", "URL", "sqlite:PATH or mongodb://..."),
    _text("config", "FILE", "The config file."),
    _text("profile", "NAME", "A profile of the config: its store and actor.", complete="complete_profiles"),
    _text("output", "FORMAT", f"One of {', '.join(FORMATS)}.", "-o", complete="complete_formats"),
    _flag("json", "Short for -o json."),
    _text("actor", "NAME", "Who acts (else the login name)."),
    _text("now", "TIME", "Pin the clock, for tests and rehearsals."),
    _text("log-format", "FORM", "Lines on standard error as json or text, with time and run."),
]


#: Options of every command that writes.
WRITING = [
    _flag("dry_run", "Show what would be booked; book nothing."),
    _text("reason", "TEXT", "Why; kept on the entry."),
    _text("at", "TIME", "When it happened (else now)."),
    _flag("yes", "Do not ask.", "-y"),
    _flag("over_limit", "Although it is beyond a limit of the config."),
    _text("expect_balance", "N", "Book only if this is the org's balance now."),
    _text("expect_seq", "N", "Book only if this is the org's newest entry."),
    _flag("quiet", "Print nothing but warnings and errors.", "-q"),
]


#: Of every command that books for orgs.
PLANNING = [_shared("plan_out", str | None, option("--plan-out", "FILE", "Save it as a plan; book nothing."), None)]


#: Of the commands that cron runs, sweeps apart: those have more to tell of it.
METRICS = [
    _shared("metrics_file", str | None, option("--metrics-file", "FILE", "Write figures for Prometheus there."), None)
]


def filter_time(
    wiring: Wiring, name: str, text: str | None, option: str | None = None, *, ends: bool = False
) -> "Instant | None":
    """Return the instant that the filter ``name`` gives, and tell it where it was relative; JSON has it anyway.

    ``option`` is the filter's, if it has another name. With ``ends`` it ends a period: a day, week or month alone then
    means its end.
    """
    if text is None:
        return None
    from meterctl.core.domain.instants import parse_filter

    with name_source(option or f"--{name.replace(' ', '-')}"):
        instant = parse_filter(text, wiring.now, ends=ends)
    if instant != text:
        tell_time(wiring, name, instant)
    return instant


def option_time(option: str, text: str) -> "Instant":
    """The instant that ``option`` names."""
    from meterctl.core.domain.instants import parse

    with name_source(option):
        return parse(text)


def expiry_time(wiring: Wiring, text: str, option: str = "--expires") -> "Instant":
    """Return the instant at which units expire, and tell it: the end of a day, or a span such as 30d from now on."""
    from meterctl.core.domain.instants import parse_expiry

    with name_source(option):
        instant = parse_expiry(text, wiring.at or wiring.now)
    if instant != text:
        tell_time(wiring, "expires", instant)
    return instant


def tell_time(wiring: Wiring, name: str, instant: "Instant") -> None:
    """Tell what a relative time came to, in every format but JSON."""
    if wiring.output != "json":
        typer.echo(f"{name} {instant}", err=True)
