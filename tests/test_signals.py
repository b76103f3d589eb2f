"""A wish to stop is heard, wherever it arrives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator

import pytest

from forecast.cli import main
from forecast.cli.failing import ended
from forecast.system import signals
from forecast.training.fit import Training
from forecast.training.loop import Epoch
from forecast.training.together import together


@pytest.fixture(autouse=True)
def _handlers_as_found() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)            # a shell's background job begins without it
    yield
    signals.answered()
    for number, handler in before.items():
        signal.signal(number, handler)


def swallowed(number: signal.Signals, kind: type[BaseException]) -> None:
    """As in a destructor, or in an import that tries many things."""
    with pytest.raises(kind):
        signal.raise_signal(number)


def epochs() -> Generator[Epoch, None, str]:
    for number in range(1, 1000):
        yield Epoch("train", number, 1000, number, 1.0, 1.0, 1.0, 1, 0.0)
    return "done"


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_that_was_swallowed_ends_a_training_at_its_next_epoch(number: signal.Signals,
                                                                       kind: type[BaseException]) -> None:
    signals.listen()
    training = together([epochs], 1, 1)
    next(training)
    swallowed(number, kind)
    with pytest.raises(kind):
        next(training)


def test_a_training_that_nobody_interrupts_ends() -> None:
    signals.listen()
    training = Training(together([epochs], 1, 1))
    assert (len(list(training)), training.result) == (999, ["done"])


def test_two_trainings_that_both_meet_a_full_disk_end_and_say_so() -> None:
    """The second meets it as it is closed, for it saves there what it has."""
    both = threading.Barrier(2)

    def failing() -> Generator[Epoch, None, str]:
        yield next(epochs())
        both.wait(20)
        raise OSError(28, "No space left on device")

    def saving() -> Generator[Epoch, None, str]:
        try:
            both.wait(20)
            while True:
                yield next(epochs())
        finally:
            raise OSError(28, "No space left on device")

    met: list[OSError] = []

    def train() -> None:
        try:
            list(together([failing, saving], 2, 2))
        except OSError as error:
            met.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    thread.join(30)
    assert [error.errno for error in met] == [28]


@pytest.mark.parametrize("happened", [lambda: swallowed(signal.SIGINT, KeyboardInterrupt),
                                      lambda: signal.raise_signal(signal.SIGINT)])
def test_the_program_ends_as_interrupted(happened: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.cli.program.program", lambda: type("P", (), {"main": lambda *_, **__: happened()})())
    with pytest.raises(SystemExit) as end:
        main(["models"])
    assert end.value.code == 130
    assert signals.answered() == 0                                      # the next call begins anew


@pytest.mark.parametrize(("first", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_an_interrupt_that_became_another_error_is_no_bug(first: BaseException, code: int,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("Error calling __set_name__")
    error.__cause__ = first
    around = ImportError("half done")
    around.__context__ = error
    assert ended(around, []) == code
    assert capsys.readouterr().err == ""
    assert ended(RuntimeError("x"), []) == 1


def test_what_the_system_refuses_where_nobody_thought_of_it_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(OSError(28, "No space left on device", "/a/b"), []) == 9
    assert capsys.readouterr().err.startswith("/a/b: cannot go on: No space left on device")
