"""Waiting for a condition, with a deadline. Tests never sleep for a fixed time."""
import time


def eventually(what: str, condition, within: float = 10):
    """Calls condition() until it returns something true, and returns that.

    Exceptions of the condition count as not yet; the last one is shown at the deadline.
    """
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
