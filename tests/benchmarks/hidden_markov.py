"""A hidden Markov model on the questions of memory.py, by hmmlearn: fitted by EM, the best of some starts.

    .venv-peers/bin/python tests/benchmarks/hidden_markov.py FILE.npz STATES STARTS SEED

memory.py calls it in an environment that has hmmlearn. FILE holds `shown` and `fresh`, (sequences, steps) of symbols
whose last one is the answer, and `answers`, the symbols it may be. Every start begins at random, and EM takes as many
iterations as it improves on; the start whose sequences are the likeliest in the end is asked. What is asked is the
last symbol, after all the others. Prints JSON: nats, wrong, parameters, iterations, seconds of one CPU."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

ITERATIONS, IMPROVES = 100, 1e-3                                        # of EM at most; log-likelihood of all sequences


def fitted(shown: Any, states: int, starts: int, seed: int) -> tuple[Any, int]:
    """The likeliest of the starts, and all iterations that they took."""
    from hmmlearn.hmm import CategoricalHMM

    flat, lengths, models = shown.reshape(-1, 1), [shown.shape[1]] * len(shown), []
    for start in range(starts):
        model = CategoricalHMM(states, n_features=int(shown.max()) + 1, n_iter=ITERATIONS, tol=IMPROVES,
                               random_state=1000 * seed + start)
        models.append(model.fit(flat, lengths))
    iterations = sum(model.monitor_.iter for model in models)
    return max(models, key=lambda model: model.monitor_.history[-1]), iterations


def answered(model: Any, fresh: Any, answers: Any) -> tuple[float, float]:
    """Nats of the last symbol, among the answers it may be, and the share of wrong ones: by the forward recursion."""
    state = np.log(model.startprob_ + 1e-300) + np.log(model.emissionprob_[:, fresh[:, 0]].T + 1e-300)
    state = np.exp(state - state.max(axis=1, keepdims=True))            # (sequences, states)
    for step in range(1, fresh.shape[1] - 1):
        state = state @ model.transmat_ * model.emissionprob_[:, fresh[:, step]].T
        state /= np.maximum(state.sum(axis=1, keepdims=True), 1e-300)
    said = state @ model.transmat_ @ model.emissionprob_[:, answers] + 1e-12
    said /= said.sum(axis=1, keepdims=True)
    true = np.searchsorted(answers, fresh[:, -1])
    return float(-np.log(said[np.arange(len(true)), true]).mean()), float((said.argmax(axis=1) != true).mean())


def main() -> None:
    file, states, starts, seed = sys.argv[1], *map(int, sys.argv[2:])
    began, data = time.process_time(), np.load(file)
    model, iterations = fitted(data["shown"], states, starts, seed)
    nats, wrong = answered(model, data["fresh"], data["answers"])
    symbols = int(data["shown"].max()) + 1
    print(json.dumps({"nats": nats, "wrong": wrong, "parameters": states * (states + symbols - 1) - 1,
                      "iterations": iterations, "seconds": time.process_time() - began}))


if __name__ == "__main__":
    main()
