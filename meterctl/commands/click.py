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
    "Strict",
    "StrictCommand",
]


class _Parser(_OptionParser):
    """Takes a word such as -20 for the number it is: no option starts with a digit.

    Takes no option for the value of another one: an empty variable in a script leaves out a value, and the next option
    would be booked as a ref.
    """

    def _process_opts(self, arg: str, state: _ParsingState) -> None:
        if arg[1].isdigit():
            state.largs.append(arg)
            return
        option = self._long_opt.get(arg)
        if option is not None and option.takes_value and state.rargs:
            word = state.rargs[0]
            if word == "--" or word in self._short_opt or word.partition("=")[0] in self._long_opt:
                message = f"Option {arg!r} requires an argument. If it is {word!r}, write {arg}={word}"
                raise BadOptionUsage(arg, message, ctx=self.ctx)
        super()._process_opts(arg, state)


class Strict(Command):
    """The part of a command that makes its parser."""

    def make_parser(self, ctx: Context) -> _OptionParser:
        parser = _Parser(ctx)
        for parameter in self.get_params(ctx):
            parameter.add_to_parser(parser, ctx)
        return parser


class StrictCommand(Strict, TyperCommand):
    """A command whose arguments may be negative numbers, and whose options take no other option for a value."""
