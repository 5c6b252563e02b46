"""What a user can mend, and what other packages' errors say."""


class UserError(ValueError):
    """Something that the user can mend; the commands print its message as one line.

    The message names the argument, what was required, what came, and what to do.
    """


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it has none."""
    message = str(getattr(error, "message", error)).strip()
    return (message or type(error).__name__).splitlines()[0]
