"""The name of the user who runs the program."""

import getpass
import os


def login_name() -> str:
    """Return the login name; a user without one, as in a container, is named by number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"
