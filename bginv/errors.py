"""What a user can mend, and what other packages' errors say."""

import os
import re
import sys

STYLE = re.compile(r"\x1b\[\d*m")
"""Of terminals: bold, colours."""


class UserError(ValueError):
    """Something that the user can mend; the commands print its message as one line.

    The message names the argument, what was required, what came, and what to do.
    """


KERAS_FRAME = "Exception encountered when calling"
"""Begins the lines that Keras puts before a layer's own error, one for each layer around it."""


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it has none."""
    message = STYLE.sub("", str(getattr(error, "message", error)))
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(KERAS_FRAME)]
    return next(iter(told), type(error).__name__)


def check_backend() -> None:
    """Raise where Keras computes with something else than TensorFlow.

    Raises:
        UserError: it says why that cannot be.
    """
    keras = sys.modules.get("keras")
    held = keras.config.backend() if keras else None  # Keras imports a wrong one, or fails
    backend = held or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise UserError(
            f"Keras' backend is {backend}, and bginv trains by TensorFlow's gradient tapes and "
            "tf.data: set KERAS_BACKEND=tensorflow before keras is imported"
        )
