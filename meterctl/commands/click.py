"""The parts of click that typer keeps to itself: no other file of meterctl names ``typer._click``.

Typer carries its own copy of click and shows only some of it. A new version of typer is tried against this file.
"""

from typer._click.core import Command, Context
from typer._click.exceptions import BadOptionUsage, ClickException, NoArgsIsHelpError
from typer._click.formatting import HelpFormatter
from typer._click.parser import _OptionParser, _ParsingState
from typer.core import TyperCommand

__all__ = [
    "ClickException",
    "Command",
    "Context",
    "HelpFormatter",
    "NoArgsIsHelpError",
    "NumberCommand",
    "strict_parser",
]


class _Parser(_OptionParser):
    """Takes a word such as -20 for the number it is: no option starts with a digit.

    Takes no option for the value of another one: an empty variable in a script leaves out a value, and the next option
    would be booked as a ref.
    """

    def _process_opts(self, arg: str, state: _ParsingState) -> None:
        if arg[1].isdigit():
            state.largs.append(arg)
        else:
            super()._process_opts(arg, state)

    def _match_long_opt(self, opt: str, explicit_value: str | None, state: _ParsingState) -> None:
        option = self._long_opt.get(opt)
        if option is not None and option.takes_value and explicit_value is None:
            self._require_value(opt, state.rargs)
        super()._match_long_opt(opt, explicit_value, state)

    def _require_value(self, opt: str, words: list[str]) -> None:
        """Raise `BadOptionUsage` unless ``words`` begin with a value for ``opt``."""
        message = f"Option {opt!r} requires an argument."
        if not words:
            raise BadOptionUsage(opt, message, ctx=self.ctx)
        word = words[0]
        if word == "--" or word in self._short_opt or word.partition("=")[0] in self._long_opt:
            raise BadOptionUsage(opt, f"{message} If it is {word!r}, write {opt}={word}", ctx=self.ctx)


def strict_parser(command: Command, ctx: Context) -> _OptionParser:
    """Return the parser of ``command`` that takes no option for a value."""
    parser = _Parser(ctx)
    for parameter in command.get_params(ctx):
        parameter.add_to_parser(parser, ctx)
    return parser


class NumberCommand(TyperCommand):
    """A command whose arguments may be negative numbers."""

    def make_parser(self, ctx: Context) -> _OptionParser:
        return strict_parser(self, ctx)
