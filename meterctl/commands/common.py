"""What all commands have in common: shared options, wiring, asking before writing, and printing what comes back.

A command is a function of a `Wiring` and its own parameters that returns a `Result`; the decorators here add the rest.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import wraps
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer._click.core import Context
from typer._click.parser import _OptionParser, _ParsingState
from typer.core import TyperCommand

from meterctl.core.errors import AnswerLost, BadInput, Interrupted, MeterctlError, said_by
from meterctl.wiring import FORMATS, Options, Wiring

if TYPE_CHECKING:  # what the program's own help has no use for
    from meterctl.core.model import Instant
    from meterctl.core.operations import Operation
    from meterctl.core.results import Receipt, Result

#: Gives the words that a shell may offer for what is being typed.
Complete = Callable[[typer.Context, str], list[str]]


def argument(metavar: str, explained: str, complete: Complete | None = None) -> Any:
    """A positional argument."""
    return typer.Argument(metavar=metavar, help=explained, show_default=False, autocompletion=complete)


def option(flag: str, metavar: str, explained: str) -> Any:
    """An option with a value."""
    return typer.Option(flag, metavar=metavar, help=explained)


def switch(flag: str, explained: str) -> Any:
    """An option that is there or not."""
    return typer.Option(flag, help=explained)


#: Processes that one command may book in.
MOST_WORKERS = 64


def worker_count(text: str | None) -> int:
    """How many processes ``--workers`` asks for."""
    from meterctl.core.operations import check_integer

    return 1 if text is None else check_integer(text, "workers", least=1, most=MOST_WORKERS)


Org = Annotated[str, argument("ORG", "The org's id.")]


def _text(name: str, metavar: str, explained: str, *also: str) -> inspect.Parameter:
    return _shared(name, str | None, typer.Option(f"--{name}", *also, metavar=metavar, help=explained), None)


def _flag(name: str, explained: str, *also: str) -> inspect.Parameter:
    return _shared(name, bool, typer.Option(f"--{name}".replace("_", "-"), *also, help=explained), False)


def _shared(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


#: Options of every command, accepted before the command's name too.
SHARED = [
    _text("store", "URL", "sqlite:PATH or mongodb://..."),
    _text("config", "FILE", "The config file."),
    _text("profile", "NAME", "A profile of the config: its store and actor."),
    _text("output", "FORMAT", f"One of {', '.join(FORMATS)}.", "-o"),
    _flag("json", "Short for -o json."),
    _text("actor", "NAME", "Who acts (else the login name)."),
    _text("now", "TIME", "Pin the clock, for tests and rehearsals."),
]

#: Options of every command that writes.
WRITING = [
    _flag("dry_run", "Show what would be booked; book nothing."),
    _text("reason", "TEXT", "Why; kept on the entry."),
    _text("at", "TIME", "When it happened (else now)."),
    _flag("yes", "Do not ask.", "-y"),
]

#: Of every command that books for orgs.
PLANNING = [_shared("plan_out", str | None, option("--plan-out", "FILE", "Save it as a plan; book nothing."), None)]


def complete_packs(context: typer.Context, begun: str) -> list[str]:
    """The packs of the config."""
    return _offered(context, begun, lambda wiring: wiring.settings.terms.packs)


def complete_plans(context: typer.Context, begun: str) -> list[str]:
    """The plans of the config and the published ones."""
    return _offered(context, begun, lambda w: {*w.settings.plans, *(version.plan for version in w.store.plans.all())})


def _offered(context: typer.Context, begun: str, words: Callable[[Wiring], Iterable[str]]) -> list[str]:
    """Those of ``words`` that start as ``begun``. A shell that asks in vain is no place for an error."""
    said = [context.params, *(above.params for above in _contexts_above(context))]
    try:
        with closing(Wiring(_options(["store", "config", "profile"], said))) as wiring:
            return sorted(word for word in words(wiring) if word.startswith(begun))
    except MeterctlError:
        return []


def filter_time(wiring: Wiring, name: str, text: str | None, option: str | None = None) -> "Instant | None":
    """The instant that the filter ``name`` gives. What a relative one comes to is told; JSON has it in the document.
    ``option`` is the filter's, where that has another name."""
    if text is None:
        return None
    from meterctl.core.instants import parse_filter

    with said_by(option or f"--{name.replace(' ', '-')}"):
        instant = parse_filter(text, wiring.now)
    if instant != text:
        tell_time(wiring, name, instant)
    return instant


def option_time(option: str, text: str) -> "Instant":
    """The instant that ``option`` names."""
    from meterctl.core.instants import parse

    with said_by(option):
        return parse(text)


def tell_time(wiring: Wiring, name: str, instant: "Instant") -> None:
    """Tell what a relative time came to, in every format but JSON."""
    if wiring.output != "json":
        typer.echo(f"{name} {instant}", err=True)


def tell_no_journal(org: str | None, place: str, outcome: str) -> None:
    """Tell that there was nothing to read in ``place``, and what came of that. It is no error, but whoever mistyped a
    name would take it for proof."""
    journal = "no journal" if org is None else f"no journal of {org}"
    typer.echo(f"{journal} was found in {place}: {outcome}", err=True)


def new_app() -> typer.Typer:
    """The app of one command's module."""
    return typer.Typer(
        rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True
    )


def take_shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the callback of the program, or of a group of commands, the shared options; a command finds them in its
    context."""
    return _with_signature(function, function, [*_own_parameters(function), *SHARED])


def _own_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of ``function`` that have names, as options and arguments are passed: by name."""
    own = inspect.signature(function, eval_str=True).parameters.values()
    named = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in named]


def _with_signature(
    wrapper: Callable[..., Any], function: Callable[..., Any], parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapper.__doc__ = function.__doc__
    return wrapper


class _Parser(_OptionParser):
    """Takes a word such as -20 for the number it is: no option starts with a digit."""

    def _process_opts(self, arg: str, state: _ParsingState) -> None:
        if arg[1].isdigit():
            state.largs.append(arg)
        else:
            super()._process_opts(arg, state)


class _Command(TyperCommand):
    def make_parser(self, ctx: Context) -> _OptionParser:
        parser = _Parser(ctx)
        for parameter in self.get_params(ctx):
            parameter.add_to_parser(parser, ctx)
        return parser


def command(
    app: typer.Typer, name: str | None = None, *, writes: bool = False, plans: bool = True
) -> "Callable[[Callable[..., Result | None]], Callable[..., int]]":
    """Register a command function on ``app``. It gets a `Wiring` first and returns a `Result` (None: it has printed
    what there is itself). What it ``writes`` can be saved as a plan instead, unless it ``plans`` nothing."""
    shared = SHARED + (WRITING + (PLANNING if plans else []) if writes else [])
    names = [parameter.name for parameter in shared]

    def register(function: "Callable[..., Result | None]") -> Callable[..., int]:
        own = _own_parameters(function)[1:]

        @wraps(function)
        def wrapper(ctx: typer.Context, **values: Any) -> int:
            said = [{name: values.pop(name) for name in names}, *(above.params for above in _contexts_above(ctx))]
            return _run(function, _options(names, said), values, writes=writes)

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        _with_signature(wrapper, function, [context, *own, *shared])
        del wrapper.__wrapped__
        app.command(name, cls=_Command, no_args_is_help=_needs_arguments(own))(wrapper)
        return wrapper

    return register


def _contexts_above(context: Context) -> Iterator[Context]:
    """Where options may stand before the command's own, the nearest first: its group's, then the program's."""
    while (above := context.parent) is not None:
        yield above
        context = above


def _needs_arguments(own: list[inspect.Parameter]) -> bool:
    return any(parameter.default is inspect.Parameter.empty for parameter in own)


def _options(names: list[str], said: list[dict[str, Any]]) -> Options:
    """Each option as it was said nearest to the command; ``--json`` is a way to say the output."""
    said = [level | {"output": "json"} if level.get("json") else level for level in said]
    given: dict[str, Any] = {}
    for level in reversed(said):
        given |= {name: level[name] for name in names if level.get(name) not in (None, False)}
    for name, value in given.items():
        if value == "":  # a script's variable that was not set: what it would have said matters
            flag = f"--{name.replace('_', '-')}"
            raise BadInput(f"{flag} is empty", hint=f"give {flag} a value, or leave it out", code="usage")
    given.pop("json", None)
    if "plan_out" in given:
        given["dry_run"] = True  # what is planned is not booked
    return Options(**given)


def _run(function: "Callable[..., Result | None]", options: Options, values: dict[str, Any], *, writes: bool) -> int:
    wiring = Wiring(options)
    _ = wiring.output, wiring.at  # what is no format or no time is refused before anything is booked
    try:
        if writes and not options.dry_run:
            wiring.check_named()
            _tell_where(wiring)
        result = function(wiring, **values)
        if options.plan_out is not None:
            _save_plan(wiring, options.plan_out)
        if result is None:
            return 0
        from meterctl.render import emit

        with answering():
            emit(result, wiring.output)
        return result.exit_code
    except KeyboardInterrupt:
        if not writes or options.dry_run:
            raise
        again = "run the same again: it books nothing twice"
        raise Interrupted("interrupted: what was answered is booked", hint=again) from None
    finally:
        wiring.close()


@contextmanager
def answering() -> Iterator[None]:
    """A block that writes to standard output. A reader that has seen enough changes nothing of what came of a command,
    nor of its exit code. Raises `AnswerLost` where nothing can be written."""
    try:
        yield
    except BrokenPipeError:
        abandon_output()
    except OSError as problem:
        abandon_output()
        raise AnswerLost(f"the answer cannot be written: {problem.strerror}") from problem


def abandon_output() -> None:
    """Send what standard output still holds nowhere: the interpreter would try to write it once more when it ends."""
    with suppress(UnsupportedOperation):  # it is no file when someone captures it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_where(wiring: Wiring) -> None:
    """Show a person where a write goes; a script's standard error is left alone."""
    if wiring.profile_name is not None and wiring.output == "table" and sys.stderr.isatty():
        kind = " (production)" if wiring.profile.production else ""
        typer.echo(f"profile {wiring.profile_name}{kind}, {wiring.describe_store()}", err=True)


def _save_plan(wiring: Wiring, path: str) -> None:
    header = wiring.plan.save()
    if header.operations:
        count = f"{header.operations:,} operation{'' if header.operations == 1 else 's'}"
        typer.echo(f"saved a plan of {count}; to carry it out: meterctl apply {path}", err=True)
    else:
        typer.echo(f"saved a plan without any operation: nothing would be booked by {path}", err=True)


def book(
    wiring: Wiring, operation: "Operation", *, caution: str | None = None, at: "Instant | None" = None
) -> "Receipt":
    """Book one operation, after asking where there is someone to ask. ``caution`` says what makes it one to think
    about twice: without a terminal such an operation needs ``--yes``. ``at`` is when it happened, unless said."""
    request = wiring.request(operation, at)
    if not (wiring.options.dry_run or wiring.options.yes):
        from meterctl.commands.asking import confirm

        confirm(wiring, request, caution)
    return wiring.ledger.one(request)
