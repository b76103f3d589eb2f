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
