"""Waiting for a condition, with a deadline. Tests never sleep for a fixed time."""
import os
import time

# Deadlines say that something will never come; how soon it comes is the machine's affair. Where
# one is slow or shared (CI), they are that many times as long, which costs nothing that passes.
PATIENCE = float(os.environ.get("SOUK_TEST_PATIENCE", "4" if os.environ.get("CI") else "1"))


def eventually(what: str, condition, within: float = 10):
    """Calls condition() until it returns something true, and returns that.

    Exceptions of the condition count as not yet; the last one is shown at the deadline.
    """
    within *= PATIENCE
    deadline = time.monotonic() + within
    pause, last = 0.005, None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as error:  # pylint: disable=broad-except
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what} (last: {last!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def let_pass(seconds: float) -> None:
    """Time that is meant to pass: the pace of a load, how long a fault lasts, a pause before the next try.
    Whoever waits for something to have happened uses eventually()."""
    time.sleep(max(seconds, 0))
