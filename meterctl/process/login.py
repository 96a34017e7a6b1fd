"""The name of the user who runs the program."""

import os

#: Variables that hold the login name, the first one that is set wins (as in `getpass.getuser`, which would load the
#: terminal's settings too).
_VARIABLES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def login_name() -> str:
    """Return the login name; a user without one, as in a container, is named by number."""
    name = next(filter(None, map(os.environ.get, _VARIABLES)), None)
    if name is not None:
        return name
    import pwd  # only few processes lack all of them

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid:{os.getuid()}"
