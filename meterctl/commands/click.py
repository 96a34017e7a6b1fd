"""The parts of click that typer keeps to itself: no other file of meterctl names ``typer._click``.

Typer carries its own copy of click and shows only some of it. A new version of typer is tried against this file.
"""

from typer._click.core import Command, Context
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer._click.formatting import HelpFormatter
from typer._click.parser import _OptionParser, _ParsingState
from typer.core import TyperCommand

__all__ = ["ClickException", "Command", "Context", "HelpFormatter", "NoArgsIsHelpError", "NumberCommand"]


class _Parser(_OptionParser):
    """Takes a word such as -20 for the number it is: no option starts with a digit."""

    def _process_opts(self, arg: str, state: _ParsingState) -> None:
        if arg[1].isdigit():
            state.largs.append(arg)
        else:
            super()._process_opts(arg, state)


class NumberCommand(TyperCommand):
    """A command whose arguments may be negative numbers."""

    def make_parser(self, ctx: Context) -> _OptionParser:
        parser = _Parser(ctx)
        for parameter in self.get_params(ctx):
            parameter.add_to_parser(parser, ctx)
        return parser
