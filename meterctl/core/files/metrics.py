"""Write gauges for Prometheus to a file for the textfile collector of a node exporter."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.files.atomic import Aside, writing


class MetricsLost(MeterctlError):
    """The run is complete, but its metrics could not be written."""

    code = "metrics_lost"
    hint = "the run itself is complete; free some disk space, or check the directory"


class Sample(NamedTuple):
    """A figure with its name and meaning."""

    name: str
    meaning: str
    value: float


def label_text(labels: Mapping[str, str]) -> str:
    """Return ``labels`` as text to put between braces, with special characters escaped."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    return ",".join(f'{name}="{"".join(escapes.get(sign, sign) for sign in value)}"' for name, value in labels.items())


class GaugeFile:
    """The metrics file at ``path``. It is replaced as a whole, so a reader never sees half of a run."""

    def __init__(self, path: str) -> None:
        """Raise `BadInput` if the file cannot be written."""
        self.path = Path(path)
        with writing(path):
            is_other = self.path.exists() and not self.path.is_file()  # a directory, or a device
        if is_other or not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise BadInput(f"cannot write {path}", hint="name a file in a directory that you may write to")

    def write(self, samples: Iterable[Sample], labels: Mapping[str, str]) -> None:
        """Replace the file with ``samples``, all with the same ``labels``."""
        with Aside(self.path, shared=True) as aside:  # the collector is another user
            aside.file.writelines(_lines(samples, label_text(labels)))
            aside.keep()

    def value(self, name: str, labels: Mapping[str, str]) -> float:
        """Return a value from the present file, or 0. A failed run keeps the time of the last success this way."""
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        line = re.escape(f"{name}{{{label_text(labels)}}}") + r" (\d+(?:\.\d+)?)$"
        match = re.search(line, text, re.MULTILINE)
        return float(match[1]) if match else 0


def _lines(samples: Iterable[Sample], labels: str) -> Iterator[str]:
    for name, meaning, value in samples:
        yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name}{{{labels}}} {value}\n"
