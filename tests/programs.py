"""Programs of other people that some tests need: they must be there in CI, and elsewhere their tests are left out."""

import os
import shutil

import pytest


def needed(*names: str) -> str:
    """Return the path of the first of these programs that is on this machine; without any, leave the test out."""
    for name in names:
        # Debian keeps programs for administrators out of a user's PATH.
        if path := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have {names[0]}: .ci/run installs it")
    pytest.skip(f"needs {names[0]}")
