"""List every command with its options, for `schema --commands` and the man pages."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer

from meterctl.commands.names import COMMANDS, MODULES
from meterctl.core.errors import REFUSALS

#: Exit codes of every command.
EXIT_CODES = {
    0: "done, replayed, unchanged, or nothing to do",
    1: "unexpected failure",
    2: "usage, bad config, or a bad input file as a whole",
    3: "not found",
    4: "refused by a rule, or not allowed to run",
    5: "the key was used for something else",
    6: "the state moved since the plan, or is not as expected",
    7: "partial: some lines or orgs failed",
    8: "a check found something",
    9: "the lock is held, with --fail-if-locked",
    10: "store or Stripe not reachable, or not safe to use",
    130: "interrupted",
}


def catalogue() -> dict[str, Any]:
    """Return every command, exit code and reason."""
    return {
        "commands": list(commands()),
        "exit_codes": [{"code": code, "meaning": meaning} for code, meaning in EXIT_CODES.items()],
        "reasons": [
            {"code": code, "exit_code": exit_code, "hint": hint} for code, (exit_code, hint) in REFUSALS.items()
        ],
    }


def commands() -> Iterator[dict[str, Any]]:
    """Yield every command and subcommand, in the order of ``--help``."""
    for name in COMMANDS:
        program: Any = typer.main.get_command(import_module(MODULES[name]).app)
        children = getattr(program, "commands", None)
        if children is None:
            yield _command(name, program)
        else:
            yield from (_command(f"{name} {below}", command) for below, command in children.items())


def _command(name: str, command: Any) -> dict[str, Any]:
    text = "\n".join(line for line in (command.help or "").split("\n") if line.strip() != "\b")
    summary = " ".join(text.partition("\n\n")[0].split())
    parameters = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    return {
        "name": name,
        "summary": summary,
        "help": text.strip(),
        "writes": any("--dry-run" in parameter["flags"] for parameter in parameters),
        "parameters": parameters,
    }


def _parameter(parameter: Any) -> dict[str, Any]:
    is_argument = parameter.param_type_name == "argument"
    return {
        "flags": [parameter.metavar or parameter.name] if is_argument else list(parameter.opts),
        "argument": is_argument,
        "value": None if getattr(parameter, "is_flag", False) else (parameter.metavar or parameter.name),
        "required": bool(parameter.required),
        "repeatable": bool(parameter.multiple) if not is_argument else parameter.nargs == -1,
        "help": parameter.help or "",
    }
