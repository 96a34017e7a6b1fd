"""Draws the pictures next to this file: what commands really print on a terminal, as SVG.

Run as ``python -m docs.pictures.make [FOLDER]``. The commands run on a store of their own, with a pinned clock and in
an environment of their own, so running it again makes the same files, byte for byte.
"""

import io
import os
import re
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from html import escape, unescape
from pathlib import Path
from tempfile import TemporaryDirectory

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from meterctl.cli import main
from meterctl.commands.demo import CONFIG, acts

HERE = Path(__file__).parent

COLUMNS = 100

#: After the demo's story: a grant, a debit into debt, two packs that lift it out, and a week that is nearly used up.
MORE = [
    ("2026-11-24T09:00Z", "adjust acme 400 --ref gift-1 --reason 'ticket 4711' --expires 2026-12-02"),
    ("2026-11-24T10:00Z", "meter attribute acme run-3 --cost llm=0.2"),
    ("2026-11-25T12:00Z", "debit acme 1700 --ref import-9 --allow-debt --yes"),
    ("2026-11-26T09:00Z", "credit-pack acme small --session cs_1003"),
    ("2026-11-26T15:00Z", "credit-pack acme small --session cs_1004"),
    ("2026-11-27T08:00Z", "meter attribute acme run-4 --cost llm=0.18"),
    ("2026-11-27T11:00Z", "debit acme 260 --ref export-3"),
]

NOW = "2026-11-27T12:00Z"

#: Each picture by its name: the command line it shows.
PICTURES = {
    "explain": "explain acme",
    "ledger": "ledger acme",
    "chart": "ledger acme --chart",
    "meter": "meter show acme",
    "balance": "balance acme",
    "statement": "statement acme --month 2026-11",
}

#: rich's own form, without the fonts that it has viewers fetch from elsewhere.
FORM = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono'"
)

#: A run of text in rich's SVG: all but where it begins and how long it is.
RUN = re.compile(r'(<text class="\S+-r\d+") x="([\d.]+)" (y="[\d.]+") textLength="([\d.]+)"([^>]*>)([^<]*)</text>')

#: What stands together whatever the font: words, and lines and bars; another sign may be wider or narrower than those.
TOGETHER = re.compile(r"[!-~]+|─+|█+|░+|\S")


class Screen(io.StringIO):
    """What is printed, by a program that takes this for a terminal."""

    def isatty(self) -> bool:
        return True


def draw(folder: Path) -> None:
    """Draw every picture into ``folder``."""
    with TemporaryDirectory(prefix="meterctl-pictures-") as place:
        _settle(Path(place))
        for act in acts():
            _printed(act.line, act.now)
        for now, line in MORE:
            _printed(line, now)
        for name, line in PICTURES.items():
            picture = _picture(name, line, _printed(line, NOW))
            (folder / f"{name}.svg").write_text(picture, encoding="utf-8")


def _settle(place: Path) -> None:
    """Return an environment that says nothing about this machine."""
    config = place / "meterctl.toml"
    config.write_text(CONFIG, encoding="utf-8")
    os.environ.clear()
    os.environ.update(
        METERCTL_STORE=f"sqlite:{place}/pictures.db",
        METERCTL_CONFIG=str(config),
        METERCTL_ACTOR="mia",
        COLUMNS=str(COLUMNS),
        TERM="xterm-256color",
        TZ="UTC",
    )


def _printed(line: str, now: str) -> str:
    """Return the output of a command on a terminal."""
    screen, talk = Screen(), io.StringIO()
    with redirect_stdout(screen), redirect_stderr(talk):
        code = main(["--now", now, *shlex.split(line)])
    if code:
        raise SystemExit(f"meterctl {line}: exit code {code}\n{talk.getvalue()}")
    return screen.getvalue()


def _picture(name: str, line: str, printed: str) -> str:
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, legacy_windows=False)
    console.print(Text(f"$ meterctl {line}", style="bold"))
    console.print(Text.from_ansi(printed))
    drawn = console.export_svg(title="meterctl", theme=SVG_EXPORT_THEME, code_format=FORM, unique_id=name)
    return RUN.sub(_placed, drawn)


def _placed(run: re.Match[str]) -> str:
    """Return a run in parts, each with a place of its own: so they stand in columns, whichever fonts a viewer finds."""
    head, start, y, length, tail, escaped = run.groups()
    text = unescape(escaped).replace("\xa0", " ")
    wide = float(length) / len(text)
    return "".join(
        f'{head} x="{float(start) + part.start() * wide:.1f}" {y} textLength="{len(part[0]) * wide:.1f}"{tail}'
        f"{escape(part[0], quote=False)}</text>"
        for part in TOGETHER.finditer(text)
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
