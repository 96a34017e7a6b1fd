"""Run ``--help`` of every command of an installed meterctl: ``every_help.py PATH``. Fail on the first that fails."""

import json
import subprocess
import sys


def main(program: str) -> None:
    listing = subprocess.run([program, "schema", "--commands", "--json"], check=True, capture_output=True, timeout=60)
    commands = [command["name"] for command in json.loads(listing.stdout)["commands"]]
    for command in commands:
        subprocess.run([program, *command.split(), "--help"], check=True, stdout=subprocess.DEVNULL, timeout=60)
    print(f"--help of {len(commands)} commands")


main(sys.argv[1])
