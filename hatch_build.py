"""Put documentation, examples, files for production and man pages into every wheel.

Hatchling calls this when it builds. An installed meterctl has them below ``share`` of its environment, in the same
places relative to each other, so that the links between them work.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DOCUMENTS = "share/doc/meterctl"
PAGES = "share/man/man1"

FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
FOLDERS = ("docs", "examples", "deploy")


def documents(root: Path) -> list[Path]:
    """Return every file to install as documentation: not the programs that draw and print it."""
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix != ".pyc" and not _draws(path.relative_to(root))]
    return sorted([*(root / name for name in FILES), *files])


def _draws(path: Path) -> bool:
    return path.suffix == ".py" and path.parts[0] == "docs"


class SharedFiles(BuildHookInterface[Any]):
    """Adds the files to a wheel. An editable install needs none: its checkout has them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file with its place below the environment."""
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        shared = {str(path): f"{DOCUMENTS}/{path.relative_to(root).as_posix()}" for path in documents(root)}
        build_data["shared_data"].update(shared)
        self._folder = tempfile.TemporaryDirectory()
        build_data["shared_data"][self._man_pages()] = PAGES

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the man pages: the wheel holds them now."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    def _man_pages(self) -> str:
        """Write the man pages and return their folder; the program that writes them is a module of this checkout."""
        command = [sys.executable, "-m", "docs.man.make", self._folder.name]
        subprocess.run(command, cwd=self.root, check=True, timeout=120)
        return self._folder.name
