"""The hidden Markov model of the memory benchmark answers by the sum over all paths of its states."""

from __future__ import annotations

from itertools import pairwise, product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.benchmarks.hidden_markov import answered
from tests.benchmarks.memory import KINDS, told


def test_an_answer_has_the_share_that_the_sum_over_all_paths_gives_it() -> None:
    random = np.random.default_rng(0)
    start, step, emits = (random.dirichlet(np.ones(n), size) for n, size in ((3, None), (3, 3), (4, 3)))
    fresh = np.array([[0, 2, 3, 1], [1, 3, 3, 1], [2, 2, 0, 0]])
    nats, wrong = answered(SimpleNamespace(startprob_=start, transmat_=step, emissionprob_=emits), fresh, np.arange(2))

    def likely(symbols: list[int]) -> float:
        return float(sum(start[path[0]] * np.prod([step[a, b] for a, b in pairwise(path)])
                         * np.prod([emits[state, symbol] for state, symbol in zip(path, symbols, strict=True)])
                         for path in product(range(3), repeat=len(symbols))))

    shares = [[likely([*row[:-1], answer]) for answer in (0, 1)] for row in fresh.tolist()]
    right = [share[row[-1]] / sum(share) for share, row in zip(shares, fresh.tolist(), strict=True)]
    assert nats == pytest.approx(-np.mean(np.log(right)), abs=1e-6)
    assert wrong == pytest.approx(np.mean([np.argmax(share) != row[-1] for share, row in
                                           zip(shares, fresh.tolist(), strict=True)]))


@pytest.mark.parametrize("kind", ["latch", "recall"])
def test_a_sequence_is_told_with_its_answer_last_and_the_answer_is_its_first_symbol(kind: str) -> None:
    batch = next(KINDS[kind].batches(7, 4, torch.Generator().manual_seed(0)))
    symbols = told([batch])
    assert symbols.shape == (4, batch[0].shape[1] + 1)
    assert symbols[:, 0].tolist() == symbols[:, -1].tolist() == batch[1].tolist()
    assert set(symbols[:, 1:-1].ravel().tolist()) <= {2, 3}


@pytest.mark.parametrize("gap", [10, 1000])
def test_six_states_set_by_hand_answer_over_any_gap_so_that_what_fails_is_the_fitting(gap: int) -> None:
    said, kept, answers = ((0, 1), (2, 3), (4, 5))
    step, emits = np.zeros((6, 6)), np.zeros((6, 4))
    for k in range(2):
        step[said[k], kept[k]] = step[answers[k], answers[k]] = 1
        step[kept[k], [kept[k], answers[k]]] = 1 - 1 / gap, 1 / gap
        emits[kept[k], 2:] = 0.5
        emits[said[k], k] = emits[answers[k], k] = 1
    start = np.array([0.5, 0.5, 0, 0, 0, 0])
    fresh = told([next(KINDS["recall"].batches(gap, 8, torch.Generator().manual_seed(0)))])
    nats, wrong = answered(SimpleNamespace(startprob_=start, transmat_=step, emissionprob_=emits), fresh, np.arange(2))
    assert nats < 1e-6
    assert wrong == 0
