"""Write the man pages: one of the program, and one of each command, from their help texts.

Run as ``python -m docs.man.make [FOLDER]``; without a folder they go to build/man.
"""

import re
import sys
from pathlib import Path
from typing import Any

from meterctl import __version__
from meterctl.cli import COMMANDS, SECTIONS
from meterctl.commands.catalogue import EXIT_CODES, commands

ROOT = Path(__file__).parents[2]


def escaped(text: str) -> str:
    """Return ``text`` so that troff prints it as it is: no character of it is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    text = "".join(sign if ord(sign) < 128 else f"\\[u{ord(sign):04X}]" for sign in text)
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def head(name: str) -> str:
    return f'.TH "{escaped(name.upper())}" 1 "" "meterctl {__version__}" "meterctl"\n'


def paragraphs(text: str) -> str:
    """Return a help text: paragraphs, and its examples as they stand."""
    parts = []
    for block in text.split("\n\n"):
        title, _, rest = block.partition("\n")
        if title in ("Example:", "Examples:"):
            lines = "\n".join(line.strip() for line in rest.splitlines())
            parts.append(f".SH {title.rstrip(':').upper()}\n.nf\n{escaped(lines)}\n.fi\n")
        else:
            parts.append(f".PP\n{escaped(' '.join(block.split()))}\n")
    return "".join(parts)


def page_of(command: dict[str, Any]) -> str:
    """Return the page of one command."""
    name = f"meterctl {command['name']}"
    arguments = " ".join(escaped(each["flags"][0]) for each in command["parameters"] if each["argument"])
    body, _, examples = command["help"].partition("\n\nExample")
    text = head(name.replace(" ", "-"))
    text += f".SH NAME\n{escaped(name.replace(' ', '-'))} \\- {escaped(command['summary'].rstrip('.'))}\n"
    text += f".SH SYNOPSIS\n.B {escaped(name)}\n[OPTIONS] {arguments}\n.SH DESCRIPTION\n{paragraphs(body)}"
    text += ".SH OPTIONS\n"
    for each in command["parameters"]:
        value = "" if each["argument"] or each["value"] is None else f" \\fI{escaped(each['value'])}\\fR"
        flags = ", ".join(f"\\fB{escaped(flag)}\\fR" for flag in each["flags"])
        text += f".TP\n{flags}{value}\n{escaped(each['help'])}\n"
    if examples:
        text += paragraphs(f"Example{examples}")
    return text + see_also()


def see_also() -> str:
    return f".SH SEE ALSO\n{escaped('meterctl(1)')}, and the same text by: meterctl help COMMAND\n"


def main_page() -> str:
    """Return the page of the program: its commands by what they are for, exit codes, environment."""
    text = head("meterctl")
    text += ".SH NAME\nmeterctl \\- run a prepaid\\-credit ledger and a weekly usage meter\n"
    text += ".SH SYNOPSIS\n.B meterctl\n[OPTIONS] COMMAND [ARGS]...\n.SH DESCRIPTION\n"
    text += escaped("Orgs hold packs of units and a weekly quota; every change is an entry in a journal.") + "\n"
    for title, names in SECTIONS.items():
        text += f".SS {escaped(title)}\n"
        for name in names:
            if name in COMMANDS:
                text += f".TP\n.B {escaped(name)}\n{escaped(COMMANDS[name])}\n"
    text += ".SH EXIT STATUS\n"
    for code, meaning in EXIT_CODES.items():
        text += f".TP\n.B {code}\n{escaped(meaning)}\n"
    text += ".SH ENVIRONMENT\n"
    for name, meaning in ENVIRONMENT.items():
        text += f".TP\n.B {name}\n{escaped(meaning)}\n"
    return text


ENVIRONMENT = {
    "METERCTL_STORE": "The store: sqlite:PATH or mongodb://...",
    "METERCTL_CONFIG": "The config file.",
    "METERCTL_PROFILE": "A profile of the config.",
    "METERCTL_ACTOR": "The author of the write.",
    "METERCTL_OUTPUT": "The output format.",
    "METERCTL_NOW": "A pinned clock, for tests and rehearsals.",
    "METERCTL_DEBUG": "1: print the traceback of an unexpected failure.",
    "NO_COLOR, FORCE_COLOR": "No colours; colours also where there is no terminal.",
}


def write(folder: Path) -> list[Path]:
    """Write every page into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"meterctl": main_page()} | {
        f"meterctl-{each['name'].replace(' ', '-')}": page_of(each) for each in commands()
    }
    for name, text in pages.items():
        (folder / f"{name}.1").write_text(text, encoding="ascii")
    return [folder / f"{name}.1" for name in pages]


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "man")
