"""The shared part of all commands: options, wiring, confirmation, and output.

A command is a function of a `Wiring` and its own parameters that returns a `Result`. The decorators add the rest.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any

import typer

from meterctl.commands.click import Context, StrictCommand
from meterctl.commands.options import METRICS, PLANNING, READING, SHARED, WRITING, output_option
from meterctl.core.errors import DONE, AnswerLost, BadInput, Interrupted, shell_command
from meterctl.options import Options
from meterctl.wiring import Wiring

if TYPE_CHECKING:  # ``--help`` does not need these imports
    from meterctl.core.results import Result


def report_no_journal(wiring: Wiring, org: str | None, outcome: str, file: str | None = None) -> None:
    """Print that the store, or ``file``, has no journal, at all or of ``org``, and the ``outcome``.

    It is not an error, but after a mistyped name an empty result would look like a proof.
    """
    journal = "no journal" if org is None else f"no journal of {org}"
    near = "" if org is None or file is not None else _suggestion(wiring, org)
    typer.echo(f"{journal} in {file or wiring.describe_store()}: {outcome}{'.' if near else ''}{near}", err=True)


def report_no_ledgers(place: str, outcome: str) -> None:
    """Print that the database at ``place`` has no data of devkit, and the ``outcome``: its name may be mistyped."""
    typer.echo(f"no data of devkit in {place}: {outcome}", err=True)


def find_journal(wiring: Wiring, outcome: str) -> bool:
    """Return True if the store has a journal; else print that it has none, and the ``outcome``."""
    if any(True for _ in wiring.store.journal.orgs()):
        return True
    report_no_journal(wiring, None, outcome)
    return False


def new_app() -> typer.Typer:
    """Return the app of a command's module."""
    return typer.Typer(
        rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True
    )


def take_shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to the callback of the program or of a group; commands read them from the context."""
    return _with_signature(function, function, [*_own_parameters(function), *SHARED])


def _own_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the named parameters of ``function`` as keyword-only: options and arguments are passed by name."""
    own = inspect.signature(function, eval_str=True).parameters.values()
    explicit = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in explicit]


def _with_signature(
    wrapper: Callable[..., Any], function: Callable[..., Any], parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapper.__doc__ = function.__doc__
    return wrapper


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    writes: bool = False,
    plans: bool = True,
    formats: tuple[str, ...] = (),
    metrics: str | None = None,
) -> "Callable[[Callable[..., Result | None]], Callable[..., int]]":
    """Return a decorator that registers a command function on ``app``.

    The function receives a `Wiring` first and returns a `Result`, or None if it has printed its own output. A command
    that ``writes`` also has ``--plan-out``, unless ``plans`` is False. ``formats``: its further output formats.
    ``metrics``: its name in metrics for Prometheus.
    """
    shared = SHARED + WRITING + (PLANNING if plans else []) if writes else READING
    shared = shared + (METRICS if metrics else [])
    if formats:
        shared = [output_option(formats) if parameter.name == "output" else parameter for parameter in shared]
    names = [parameter.name for parameter in shared]

    def register(function: "Callable[..., Result | None]") -> Callable[..., int]:
        own = _own_parameters(function)[1:]

        @wraps(function)
        def wrapper(ctx: typer.Context, **values: Any) -> int:
            options = merge_options(names, ctx, name or function.__name__)
            own_values = {name: value for name, value in values.items() if name not in names}
            return _run(function, options, own_values, writes=writes, formats=formats, metrics=metrics)

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        _with_signature(wrapper, function, [context, *own, *shared])
        del wrapper.__wrapped__
        app.command(name, cls=StrictCommand, no_args_is_help=_needs_arguments(own))(wrapper)
        return wrapper

    return register


def _needs_arguments(own: list[inspect.Parameter]) -> bool:
    return any(parameter.default is inspect.Parameter.empty for parameter in own)


#: Options that expect a state of one org, and commands that may write to many orgs.
ONE_ORG = frozenset({"expect_balance", "expect_seq"})
MANY_ORGS = frozenset({"backfill", "apply", "events", "expire", "reconcile", "init", "import", "publish", "break"})


def merge_options(names: list[str], context: Context, command: str = "") -> Options:
    """Return the options of ``command``. Those after it win, then those of its group, then those of the program.

    ``--json`` sets the output.
    """
    values: dict[str, Any] = {}
    level: Context | None = context
    while level is not None:  # bounded: by the depth of groups
        given = level.params | {"output": "json"} if level.params.get("json") else level.params
        values = {name: given[name] for name in names if given.get(name) not in (None, False)} | values
        level = level.parent
    for name, value in values.items():
        if value == "":  # likely an unset variable in a script: its value would matter
            flag = f"--{name.replace('_', '-')}"
            raise BadInput(f"{flag} is empty", hint=f"give {flag} a value, or leave it out", code="usage")
    values.pop("json", None)
    if ONE_ORG.intersection(values) and command in MANY_ORGS:
        message = (
            f"{command.replace('_', '-')} may write to many orgs, but --expect-balance and --expect-seq describe one"
        )
        raise BadInput(message, hint="leave out --expect-balance and --expect-seq", code="usage")
    if "plan_out" in values:
        values["dry_run"] = True  # saving a plan books nothing
    return Options(**values)


def _run(
    function: "Callable[..., Result | None]",
    options: Options,
    values: dict[str, Any],
    *,
    writes: bool,
    formats: tuple[str, ...] = (),
    metrics: str | None = None,
) -> int:
    if options.actor is not None and not writes:  # it looks like a filter
        message = "--actor names the author of a write, and this command only reads"
        raise BadInput(message, hint="to filter by actor: meterctl ledger ORG --by ACTOR", code="usage")
    wiring = Wiring(options, formats=formats)
    _ = wiring.output, wiring.at  # refuse a bad format or time before anything is booked
    try:
        if writes and not options.dry_run:
            wiring.check_named()
            if sys.stderr.isatty():
                _prepare_person(wiring)
        if metrics is None or options.metrics_file is None:
            result = function(wiring, **values)
        else:
            result = _call_with_metrics(function, wiring, values, metrics, options.metrics_file)
        if options.plan_out is not None:
            _save_plan(wiring, options.plan_out)
        if result is None:
            return 0
        if writes and wiring.is_pinned:
            wiring.warn_of_pinned_clock(result)
        _answer(wiring, result)
        return result.exit_code
    except KeyboardInterrupt:
        if not writes or options.dry_run:
            raise
        again = "run the same command again: it books nothing twice"
        raise Interrupted("interrupted: the answered lines are booked", hint=again) from None
    finally:
        wiring.close()


def _call_with_metrics(
    function: "Callable[..., Result | None]", wiring: Wiring, values: dict[str, Any], metrics: str, file: str
) -> "Result | None":
    """Run the command and write its ``metrics`` to ``file``."""
    from meterctl.commands.metrics import reporting

    with reporting(wiring, metrics, file) as results:
        results.append(function(wiring, **values))
    return results[0]


def _answer(wiring: Wiring, result: "Result") -> None:
    from meterctl.render import write

    is_refused = getattr(result, "status", None) == "refused"
    if getattr(result, "known", True) is False or (is_refused and _has_no_journal(wiring, result)):
        _report_unknown(wiring, getattr(result, "org", None) or result.fields()["org"])
    if wiring.options.quiet and result.exit_code == DONE:
        for warning in getattr(result, "warnings", ()):
            typer.echo(f"warning [{warning.code}]: {warning.message}", err=True)
        return
    with answering():
        write(result, wiring.output, sys.stderr if getattr(result, "answers_printed", False) else sys.stdout)


def _has_no_journal(wiring: Wiring, result: "Result") -> bool:
    """Return True if the org of ``result`` has no journal: its id may be mistyped."""
    org = getattr(result, "org", None)
    return org is not None and wiring.store.journal.tip(org) is None


def _report_unknown(wiring: Wiring, org: str) -> None:
    """Print that ``org`` has no journal, with a similar org as a suggestion."""
    typer.echo(f'No journal for "{org}".{_suggestion(wiring, org)}', err=True)


def _suggestion(wiring: Wiring, org: str) -> str:
    from meterctl.core.reads.near_orgs import nearest_org

    near = nearest_org(wiring.store.heads, org)
    return f" Did you mean {near}?" if near else ""


@contextmanager
def answering() -> Iterator[None]:
    """Handle errors of a block that writes to standard output.

    A closed pipe changes neither the result nor the exit code. Raises `AnswerLost` for other write errors.
    """
    try:
        yield
    except BrokenPipeError:
        abandon_output()
    except OSError as problem:
        abandon_output()
        raise AnswerLost(f"the result cannot be written: {problem.strerror}") from problem


def abandon_output() -> None:
    """Discard buffered output, or the interpreter would try to write it again at exit."""
    with suppress(UnsupportedOperation):  # captured output has no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_person(wiring: Wiring) -> None:
    """Show a person the target of a write, and let one at a terminal confirm a clock that is far from the last one."""
    if wiring.profile_name is not None and wiring.output == "table":
        kind = " (production)" if wiring.profile.production else ""
        typer.echo(f"profile {wiring.profile_name}{kind}, {wiring.describe_store()}", err=True)
    if sys.stdin.isatty():
        from meterctl.commands.confirmation import agrees

        wiring.ask_about_clock = lambda problem: agrees(f"{problem}. Is the clock right?")


def _save_plan(wiring: Wiring, path: str) -> None:
    header = wiring.plan.save()
    if header.operations:
        count = f"{header.operations:,} operation{'' if header.operations == 1 else 's'}"
        typer.echo(f"saved a plan of {count}; to carry it out: {shell_command('apply', path)}", err=True)
    else:
        typer.echo(f"saved a plan without any operation: applying {path} would book nothing", err=True)
