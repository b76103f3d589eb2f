from __future__ import annotations

import json

import pytest

from forecast.reading.contract import TAIL, Contract
from tests.tables import column, read

COUNT = 3 * TAIL


def history(first: int = 0, stop: int = COUNT, *, changed: int | None = None) -> str:
    return column(range(first, stop), [99.5 if k == changed else k % 7 + 0.25 for k in range(first, stop)])


def revised(text: str) -> bool:
    """Whether a later file is told to differ from the history that the contract was made from."""
    contract = Contract.from_dict(json.loads(json.dumps(read(history()).contract.to_dict())))
    return any("differs from the training file" in note for note in read(text, contract=contract).notes)


@pytest.mark.parametrize("text", [history(), history(stop=COUNT + 9), history(stop=COUNT + 9, changed=COUNT + 3),
                                  history(-5), history(50), history(50, COUNT + 5), history(stop=COUNT - 5)],
                         ids=["same", "longer", "longer, other new value", "begins earlier", "begins later",
                              "moved window", "ends earlier"])
def test_a_history_that_reads_as_it_did_is_not_told_to_be_revised(text: str) -> None:
    assert not revised(text)


@pytest.mark.parametrize("text", [history(changed=3), history(changed=COUNT - 1), history(stop=COUNT + 9, changed=0),
                                  history(-5, changed=0), history(50, COUNT + 5, changed=COUNT - 60)],
                         ids=["early value", "last value", "longer", "begins earlier", "moved window"])
def test_a_value_of_the_history_that_was_changed_is_told(text: str) -> None:
    assert revised(text)


def test_what_cannot_be_compared_is_not_told_to_be_revised() -> None:
    assert not revised(history(COUNT + 1, COUNT + 40))
    assert not revised(history(COUNT - 10, COUNT + 40))


def test_the_series_that_was_revised_is_named() -> None:
    lines = ["id,ds,y", *(f"{name},{k},{k % 5 + 0.5}" for name in ("a", "b") for k in range(40))]
    contract = read("\n".join(lines) + "\n").contract
    lines[60] = "b,19,77"
    notes = read("\n".join(lines) + "\n", contract=contract).notes
    assert "history of 1 series differs from the training file: b" in notes


def test_a_series_set_aside_whole_does_not_make_others_look_revised() -> None:
    lines = ["id,ds,y", *(f"{name},{k},{'x' if name == 'a' else k % 5 + 0.5}" for name, length in
                          (("a", 2), ("b", 40), ("c", 30)) for k in range(length))]
    text = "\n".join(lines) + "\n"
    first = read(text, bad_rows="quarantine")
    assert first.contract.ids == ("b", "c")
    notes = read(text, contract=first.contract, bad_rows="quarantine").notes
    assert not any("differs" in note or "vanished" in note for note in notes)
