"""SIGINT and SIGTERM end a training after the step that is running."""

import os
import signal
import threading

import tensorflow as tf
from absl import logging

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended a training.

    Attributes:
        signal_number: of the signal.
    """

    def __init__(self, signal_number: int, message: str):
        super().__init__(message)
        self.signal_number = signal_number


class StopRequest:
    """While it is entered, the first signal sets a flag; a second SIGINT interrupts at once.

    Python runs signal handlers between its own instructions, hence not while TensorFlow runs many
    steps in one call. So a thread waits for the signal's number on a socket, as the interpreter's
    C handler writes it there at once, and sets a variable that the steps read.

    Attributes:
        flag: int32 variable, 1 once a stop was asked for.
        signal_number: of the first signal, or None.
    """

    def __init__(self):
        with tf.device("CPU"):
            self.flag = tf.Variable(0, trainable=False)
        self.signal_number: int | None = None
        self._in_main_thread = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "StopRequest":
        if self._in_main_thread:
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            self._thread = threading.Thread(target=self._wait, daemon=True)
            self._thread.start()
            self._handlers = {number: signal.signal(number, self._handle) for number in SIGNALS}
            self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *exception) -> None:
        if self._in_main_thread:
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            os.close(self._write)
            self._thread.join()
            os.close(self._read)

    def _wait(self) -> None:
        while received := os.read(self._read, 1):
            if received[0] in SIGNALS:
                self.flag.assign(1)

    def _handle(self, number: int, frame) -> None:
        if self.signal_number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt("interrupted before the step was saved")
        if self.signal_number is None:
            logging.info("%s: finishing the step", signal.Signals(number).name)
        self.signal_number = self.signal_number or number
        with tf.init_scope():  # a function may be traced just now
            self.flag.assign(1)
