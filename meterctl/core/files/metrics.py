"""Figures for Prometheus, in a file that a node exporter's textfile collector reads. All are gauges."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.files.atomic import Aside


class MetricsLost(MeterctlError):
    """The run is done, and its figures could not be written."""

    code = "metrics_lost"
    hint = "what is due is booked; make room, or check the directory"


class Sample(NamedTuple):
    """A figure with its name and meaning."""

    name: str
    meaning: str
    value: float


def label_text(labels: Mapping[str, str]) -> str:
    """Return ``labels`` as they stand between braces, with every character escaped that would end one."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    return ",".join(f'{name}="{"".join(escapes.get(sign, sign) for sign in value)}"' for name, value in labels.items())


class GaugeFile:
    """The file at ``path``. A reader sees the figures of one run or of another, never a part of them."""

    def __init__(self, path: str) -> None:
        """Raise `BadInput` where no such file can be written."""
        self.path = Path(path)
        is_other = self.path.exists() and not self.path.is_file()  # a directory, or a device
        if is_other or not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise BadInput(f"cannot write {path}", hint="--metrics-file names a file in a directory you may write to")

    def write(self, samples: Iterable[Sample], labels: Mapping[str, str]) -> None:
        """Replace the file by ``samples``, all with the same ``labels``."""
        with Aside(self.path) as aside:
            aside.file.writelines(_lines(samples, label_text(labels)))
            aside.keep()

    def value(self, name: str, labels: Mapping[str, str]) -> float:
        """Return a figure as the file has it; 0 where it has none. So a failure does not look like a first run."""
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        line = re.escape(f"{name}{{{label_text(labels)}}}") + r" (\d+(?:\.\d+)?)$"
        found = re.search(line, text, re.MULTILINE)
        return float(found[1]) if found else 0


def _lines(samples: Iterable[Sample], labels: str) -> Iterator[str]:
    for name, meaning, value in samples:
        yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name}{{{labels}}} {value}\n"
