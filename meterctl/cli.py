"""The command line: the root command, the list of commands, and the only error handler.

A command's module is imported when it runs. ``--help`` imports none: `meterctl.commands.names` lists them all.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from shutil import get_terminal_size
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from meterctl.commands.click import ClickException, Command, Context, HelpFormatter, NoArgsIsHelpError, Strict
from meterctl.commands.command import abandon_output, answering, take_shared
from meterctl.commands.names import COMMANDS, GROUPS, MODULES, SECTIONS
from meterctl.core import errors
from meterctl.core.errors import MeterctlError, did_you_mean
from meterctl.process.colours import use_colour

__all__ = ["COMMANDS", "GROUPS", "MODULES", "SECTIONS", "app", "main"]

#: Width of help texts outside a terminal, and the most on a terminal.
HELP_WIDTH, MOST_HELP_WIDTH = 80, 120


def help_settings() -> dict[str, Any]:
    """Return the settings of help texts: ``-h`` as well as ``--help``, and the width of the terminal."""
    width = min(MOST_HELP_WIDTH, get_terminal_size().columns) if sys.stdout.isatty() else HELP_WIDTH
    return {"help_option_names": ["-h", "--help"], "terminal_width": width, "max_content_width": width}


class LazyGroup(Strict, TyperGroup):
    """The root command. It imports a command when it is needed."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - the signature is given
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in COMMANDS:
            if not ctx.resilient_parsing:
                ctx.fail(f"there is no command {cmd_name!r}{did_you_mean(cmd_name, COMMANDS)}")
            return None
        module = import_module(MODULES[cmd_name])
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name]) for name in names if name in COMMANDS], col_max=14)


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(show: bool) -> None:
    if show:
        from meterctl import __version__

        sys.stdout.write(f"meterctl {__version__}\n")
        raise typer.Exit


@app.callback()
@take_shared
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
    **_: Any,
) -> None:
    """Run a prepaid-credit ledger and a weekly usage meter.

    Orgs hold packs of units and a weekly quota; every change is an entry in the org's journal, booked once.
    Start with: meterctl demo, then: meterctl config init. Help on a command: meterctl help COMMAND
    """


def wants_json(argv: Sequence[str]) -> bool:
    """Return True if the caller reads JSON. Works even for arguments that cannot be parsed."""
    if "--json" in argv or "--output=json" in argv or "-ojson" in argv:
        return True
    formats = [after for option, after in pairwise(argv) if option in ("-o", "--output")]
    return (formats[-1] if formats else os.environ.get("METERCTL_OUTPUT")) == "json"


#: Longest line of a message, in characters, because a message may quote a whole file.
LONGEST_LINE = 500


def report(error: MeterctlError, *, as_json: bool) -> int:
    """Print an error with its hint on standard error; return its exit code."""
    message, hint = _cut(error.message), _cut(error.hint)
    record = getattr(sys.stderr, "record", None)
    if record is not None:
        record("error", message, code=error.code, hint=hint or None)
    elif as_json:
        import json

        document = {"schema": "meterctl.error.v1", "code": error.code, "message": message, "hint": hint}
        sys.stderr.write(json.dumps(document) + "\n")
    else:
        from meterctl.render import visible

        hint_line = f"\n  try: {visible(hint)}" if hint else ""
        begin, end = ("\x1b[1;31m", "\x1b[0m") if use_colour(sys.stderr) else ("", "")
        sys.stderr.write(f"{begin}error [{error.code}]{end}: {visible(message)}{hint_line}\n")
    return error.exit_code


def _cut(text: str) -> str:
    lines = text.split("\n")
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..." for line in lines)


def _usage_error(problem: ClickException) -> MeterctlError:
    context = getattr(problem, "ctx", None)
    command = "meterctl" if context is None else context.command_path
    message = problem.format_message()
    if isinstance(problem, NoArgsIsHelpError):  # its message is the help, for people
        message = f"{command} needs {'a command' if command.split()[-1] in ('meterctl', *GROUPS) else 'an argument'}"
    error = MeterctlError(message, code="usage", hint=f"{command} --help")
    error.exit_code = errors.USAGE
    return error


def _unexpected_error(problem: BaseException) -> MeterctlError:
    if os.environ.get("METERCTL_DEBUG"):
        import traceback

        traceback.print_exception(problem)
    return MeterctlError(
        f"unexpected failure: {type(problem).__name__}: {problem}",
        code="unexpected",
        hint="run it again with METERCTL_DEBUG=1 and report the output; a repeated write books nothing twice",
    )


def _has_directory() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - pathlib is not loaded yet
    except OSError:
        return False


def _no_directory() -> MeterctlError:
    """Return the error for relative paths in a working directory that is gone: a release replaced it, say."""
    hint = "change to a directory that exists, or give paths in full, then run it again: it books nothing twice"
    error = MeterctlError("the working directory was removed", code="no_directory", hint=hint)
    error.exit_code = errors.USAGE
    return error


def _log_format(argv: Sequence[str]) -> str | None:
    """Return the log format for standard error; None: plain lines."""
    after = [word for option, word in pairwise(argv) if option == "--log-format"]
    values = [word.partition("=")[2] for word in argv if word.startswith("--log-format=")]
    formats = values or after
    return formats[-1] if formats else os.environ.get("METERCTL_LOG_FORMAT") or None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Data goes to standard output, messages to standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    form = _log_format(arguments)
    if form is None:
        return _answer(arguments)
    from meterctl.process.log_lines import LOG_FORMATS, log_records

    if form not in LOG_FORMATS:
        hint = f"--log-format or METERCTL_LOG_FORMAT is one of {', '.join(LOG_FORMATS)}"
        problem = errors.BadInput(f"{form!r} is not a log format", hint=hint, code="usage")
        return report(problem, as_json=wants_json(arguments))
    with log_records(form, " ".join(_words(arguments))) as codes:
        codes.append(_answer(arguments))
    return codes[0]


def _words(arguments: Sequence[str]) -> list[str]:
    """Return the command in ``arguments``, without its options and arguments."""
    name = next((word for word in arguments if word in COMMANDS), None)
    if name is None:
        return ["meterctl"]
    after = arguments[arguments.index(name) + 1 :][:1]
    return [name, *(word for word in after if name in GROUPS and word.isalpha())]


def _answer(arguments: list[str]) -> int:
    """Run the program; return its exit code. Typer's own entry point would hide interrupts and closed pipes."""
    try:
        # Parsing consumes the list.
        words = [*arguments[1:], "--help"] if arguments[:1] == ["help"] else list(arguments)
        program = typer.main.get_command(app)
        program._main_shell_completion({}, "meterctl")
        try:
            with program.make_context("meterctl", words, **help_settings()) as context:
                code = int(program.invoke(context) or errors.DONE)
        except typer.Exit as end:
            code = end.exit_code
        with answering():  # a write error must appear here, not at exit
            sys.stdout.flush()
        return code
    except MeterctlError as problem:
        error = problem
    except NoArgsIsHelpError as problem:
        if not wants_json(arguments):
            sys.stderr.write(problem.format_message() + "\n")
            return errors.USAGE
        error = _usage_error(problem)
    except ClickException as problem:
        error = _usage_error(problem)
    except (KeyboardInterrupt, typer.Abort):
        error = errors.Interrupted("interrupted")
    except BrokenPipeError:
        # The reader has closed the pipe.
        abandon_output()
        return errors.DONE
    except OSError as problem:
        abandon_output()
        error = _unexpected_error(problem) if _has_directory() else _no_directory()
    except Exception as problem:
        error = _unexpected_error(problem)
    return report(error, as_json=wants_json(arguments))
