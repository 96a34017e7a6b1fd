"""What all commands have in common: shared options, wiring, asking before writing, and printing what comes back.

A command is a function of a `Wiring` and its own parameters that returns a `Result`; the decorators here add the rest.
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

from meterctl.commands.click import Context, NumberCommand
from meterctl.commands.options import METRICS, PLANNING, SHARED, WRITING
from meterctl.core.errors import DONE, AnswerLost, BadInput, Interrupted
from meterctl.options import Options
from meterctl.wiring import Wiring

if TYPE_CHECKING:  # what the program's own help has no use for
    from meterctl.core.results import Result


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


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    writes: bool = False,
    plans: bool = True,
    formats: tuple[str, ...] = (),
    metrics: str | None = None,
) -> "Callable[[Callable[..., Result | None]], Callable[..., int]]":
    """Register a command function on ``app``. It gets a `Wiring` first and returns a `Result` (None: it has printed
    what there is itself). What it ``writes`` can be saved as a plan instead, unless it ``plans`` nothing. ``formats``:
    output formats that this command has beyond those of all. ``metrics``: the name of its figures for Prometheus."""
    shared = SHARED + (WRITING + (PLANNING if plans else []) if writes else []) + (METRICS if metrics else [])
    names = [parameter.name for parameter in shared]

    def register(function: "Callable[..., Result | None]") -> Callable[..., int]:
        own = _own_parameters(function)[1:]

        @wraps(function)
        def wrapper(ctx: typer.Context, **values: Any) -> int:
            said = [{name: values.pop(name) for name in names}, *(above.params for above in contexts_above(ctx))]
            options = options_said(names, said, name or function.__name__)
            return _run(function, options, values, writes=writes, formats=formats, metrics=metrics)

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        _with_signature(wrapper, function, [context, *own, *shared])
        del wrapper.__wrapped__
        app.command(name, cls=NumberCommand, no_args_is_help=_needs_arguments(own))(wrapper)
        return wrapper

    return register


def contexts_above(context: Context) -> Iterator[Context]:
    """Where options may stand before the command's own, the nearest first: its group's, then the program's."""
    while (above := context.parent) is not None:
        yield above
        context = above


def _needs_arguments(own: list[inspect.Parameter]) -> bool:
    return any(parameter.default is inspect.Parameter.empty for parameter in own)


#: Options that say how one org has to stand, and commands that they mean nothing to.
ONE_ORG = frozenset({"expect_balance", "expect_seq"})
MANY_ORGS = frozenset({"backfill", "apply", "events", "expire", "reconcile", "init", "import", "publish", "break"})


def options_said(names: list[str], said: list[dict[str, Any]], command: str = "") -> Options:
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
    if ONE_ORG.intersection(given) and command in MANY_ORGS:
        message = f"{command.replace('_', '-')} may concern many orgs, and each stands elsewhere"
        raise BadInput(message, hint="leave out --expect-balance and --expect-seq", code="usage")
    if "plan_out" in given:
        given["dry_run"] = True  # what is planned is not booked
    return Options(**given)


def _run(
    function: "Callable[..., Result | None]",
    options: Options,
    values: dict[str, Any],
    *,
    writes: bool,
    formats: tuple[str, ...] = (),
    metrics: str | None = None,
) -> int:
    check_actor(options, writes=writes)
    wiring = Wiring(options, formats=formats)
    _ = wiring.output, wiring.at  # what is no format or no time is refused before anything is booked
    try:
        if writes and not options.dry_run:
            wiring.check_named()
            _tell_where(wiring)
            _ask_about_clock(wiring)
        result = _called(function, wiring, values, metrics)
        if options.plan_out is not None:
            _save_plan(wiring, options.plan_out)
        if result is None:
            return 0
        if writes:
            wiring.warn_of_pinned_clock(result)
        _answer(wiring, result)
        return result.exit_code
    except KeyboardInterrupt:
        if not writes or options.dry_run:
            raise
        again = "run the same again: it books nothing twice"
        raise Interrupted("interrupted: what was answered is booked", hint=again) from None
    finally:
        wiring.close()


def _called(
    function: "Callable[..., Result | None]", wiring: Wiring, values: dict[str, Any], metrics: str | None
) -> "Result | None":
    """Run the command, and write its figures as ``metrics`` where a file is named for them."""
    if metrics is None or wiring.options.metrics_file is None:
        return function(wiring, **values)
    from meterctl.commands.metrics import reporting

    with reporting(wiring, metrics, wiring.options.metrics_file) as results:
        results.append(function(wiring, **values))
    return results[0]


def check_actor(options: Options, *, writes: bool) -> None:
    """Refuse ``--actor`` on a command that only reads: it would look like a filter and be none."""
    if options.actor is not None and not writes:
        message = "--actor says who acts, and this command only reads"
        raise BadInput(message, hint="to filter by it: meterctl ledger ORG --by ACTOR", code="usage")


def _answer(wiring: Wiring, result: "Result") -> None:
    from meterctl.render import emit, write

    if getattr(result, "known", True) is False:
        _tell_unknown(wiring, getattr(result, "org", None) or result.fields()["org"])
    if wiring.options.quiet and result.exit_code == DONE:
        for warning in getattr(result, "warnings", ()):
            typer.echo(f"warning [{warning.code}]: {warning.message}", err=True)
        return
    with answering():
        if getattr(result, "answers_printed", False):
            write(result, wiring.output, sys.stderr)
        else:
            emit(result, wiring.output)


def _tell_unknown(wiring: Wiring, org: str) -> None:
    """Say that there is no journal of ``org``, and which one may have been meant."""
    from meterctl.core.reads.near_orgs import nearest_org

    near = nearest_org(wiring.store.heads, org)
    typer.echo(f'No journal for "{org}".' + (f" Did you mean {near}?" if near else ""), err=True)


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


def _ask_about_clock(wiring: Wiring) -> None:
    """Let a person, if there is one, say to go on although the clock is far from the last write."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        from meterctl.commands.confirmation import agrees

        wiring.ask_about_clock = lambda problem: agrees(f"{problem}. Is the clock right?")


def _save_plan(wiring: Wiring, path: str) -> None:
    header = wiring.plan.save()
    if header.operations:
        count = f"{header.operations:,} operation{'' if header.operations == 1 else 's'}"
        typer.echo(f"saved a plan of {count}; to carry it out: meterctl apply {path}", err=True)
    else:
        typer.echo(f"saved a plan without any operation: nothing would be booked by {path}", err=True)
