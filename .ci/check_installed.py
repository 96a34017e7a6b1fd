"""Check an installed meterctl: ``check_installed.py PATH``. Fail on the first thing that is missing or fails.

The help of every command, its man page, and every page, example and file for production below ``share``.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(program: Path) -> None:
    listing = subprocess.run([program, "schema", "--commands", "--json"], check=True, capture_output=True, timeout=60)
    commands = [command["name"] for command in json.loads(listing.stdout)["commands"]]
    share = program.parents[1] / "share"
    for command in commands:
        subprocess.run([program, *command.split(), "--help"], check=True, stdout=subprocess.DEVNULL, timeout=60)
        (share / "man" / "man1" / f"meterctl-{command.replace(' ', '-')}.1").read_text()
    names = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").iterdir(),
        *(ROOT / "deploy").rglob("*"),
    ]
    files = [name.relative_to(ROOT) for name in names if name.is_file()]
    for file in files:
        if (share / "doc" / "meterctl" / file).read_bytes() != (ROOT / file).read_bytes():
            sys.exit(f"{file} is not as it is here")
    print(f"--help and man pages of {len(commands)} commands, {len(files)} files")


main(Path(sys.argv[1]))
