"""What every command that writes to the store does first: hold its lock, and say what that took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forecast.durations import seconds_of

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.registry import Store


@contextmanager
def locked(console: Console, store: Store, wait: str | None) -> Iterator[None]:
    """Hold the store's lock, after waiting for it so long ("10m") at most; what a killed run had left is gone then.

    Raises BusyError, and RequestError for what is no time."""
    seconds = seconds_of(wait, "--wait") if wait is not None else 0.0
    with store.lock(wait=seconds, waiting=lambda holder: console.say("waiting", f"{holder} is writing to this store")
                    ) as left:
        if left:
            console.say("cleaned", f"what a killed run had left in the store: {', '.join(left)}")
        yield
