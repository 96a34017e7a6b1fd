"""Add the version of meterctl to its SBOM, which cyclonedx-py cannot know: ``finish_sbom.py FILE``.

Fails if a package in the file has no version or no hash.
"""

import json
import sys
from pathlib import Path

from meterctl import __version__


def main(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    document["metadata"]["component"]["version"] = __version__
    for package in document["components"]:
        hashes = [each for place in package.get("externalReferences", []) for each in place.get("hashes", [])]
        if not package.get("version") or not hashes:
            sys.exit(f"{package['name']} has no version or no hash")
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"meterctl {__version__}: {len(document['components'])} packages")


main(Path(sys.argv[1]))
