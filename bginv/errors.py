"""What other packages' errors say."""


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it has none."""
    message = str(getattr(error, "message", error)).strip()
    return (message or type(error).__name__).splitlines()[0]
