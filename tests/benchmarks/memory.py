"""What each cell remembers: tasks whose answer lies far back, one budget for all cells, several seeds.

    python tests/benchmarks/memory.py [--full] [--task WORD ...] [--cells NAME ...] [--seeds N] [--steps N] [--rate R]
                                          [--peers .venv-peers]

Every cell of a task gets the same optimiser, learning rate, clip, batch and number of sequences, and as many units as
come nearest to the same number of parameters; nothing is tuned for one of them. A run ends when its error on fresh
sequences falls below what counts as solved, or when its steps are spent. A task is a row of TASKS, what it asks one of
KINDS, a cell and how it starts one of CONTENDERS. The table (markdown) goes to stdout, progress to stderr; the same
seed is the same run. That takes about 40 CPU minutes; --full runs every contender on every task, with more steps and
seeds, and takes many hours.

With --peers, an environment that has hmmlearn (make peers), hidden Markov models of several sizes are rows of the tasks
that ask for a symbol. They are fitted by EM, the best of some starts, on the sequences that the cells are shown, with
the answer as the last symbol, as far as MARKOV symbols go.

The tasks: adding (Hochreiter & Schmidhuber 1997; Le, Jaitly & Hinton 2015), copy memory (Arjovsky, Shah & Bengio 2016),
a latch (Bengio, Simard & Frasconi 1994, without their noise), recall (the latch with noise in between), the continual
embedded Reber grammar (Gers, Schmidhuber & Cummins 2000)."""

# B batch  T steps of a sequence  I inputs  O outputs  D units

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forecast.training.torch_cells import CELLS, open_gates

RATE, CLIP = 0.01, 1.0                                                  # Adam's, and of the gradient's norm
EVERY = 100                                                             # steps between two looks at fresh sequences
FRESH = 1_000_000                                                       # their seed, the same for every run

Batches = Iterator[tuple[Tensor, Tensor]]                               # x (B, T, I), y (B,) or (B, T)
Measure = Callable[[Tensor, Tensor], Tensor]                            # outputs (B, T, O), y -> a number


# What is shown: batches without end

def adding(gap: int, batch: int, random: torch.Generator) -> Batches:
    """`gap` values in [0, 1], two of them marked, one in each half; their sum is to be said."""
    rows, half = torch.arange(batch), gap // 2
    while True:
        x = torch.zeros(batch, gap, 2)
        x[..., 0] = torch.rand(batch, gap, generator=random)
        for begin, end in ((0, half), (half, gap)):
            x[rows, torch.randint(begin, end, (batch,), generator=random), 1] = 1
        yield x, x.prod(dim=2).sum(dim=1)


def copying(gap: int, batch: int, random: torch.Generator) -> Batches:
    """Ten symbols out of eight, a gap of blanks that ends with a sign, then the ten again; blanks until then."""
    length, blank, sign = 10, 8, 9
    while True:
        told = torch.randint(blank, (batch, length), generator=random)
        x = torch.full((batch, gap + 2 * length), blank)
        y = x.clone()
        x[:, :length], x[:, length + gap - 1], y[:, -length:] = told, sign, told
        yield nn.functional.one_hot(x, 10).float(), y


def latch(gap: int, batch: int, random: torch.Generator) -> Batches:
    """One of two symbols, then nothing for `gap` steps: which was it? There are two sequences, and both are shown."""
    first = torch.arange(batch) % 2
    x = torch.zeros(batch, gap, 2)
    x[:, 0] = nn.functional.one_hot(first, 2).float()
    while True:
        yield x, first


def recall(gap: int, batch: int, random: torch.Generator) -> Batches:
    """One of two symbols, then `gap` of two others at random: which was the first?"""
    while True:
        said = torch.cat([torch.randint(2, (batch, 1), generator=random),
                          2 + torch.randint(2, (batch, gap), generator=random)], dim=1)
        yield nn.functional.one_hot(said, 4).float(), said[:, 0]


LETTERS = "BTPSXVE"
REBER = ("B1", "T2P3", "S2X4", "T3V5", "X3S6", "P4V6", "E7")            # state -> letter and next state, one or two


def reber(segment: int, batch: int, random: torch.Generator) -> Batches:
    """B, T or P, a word of Reber's grammar, the same T or P, E, and again without end: what comes next?"""
    letters, after = embedded()
    state, said = torch.zeros(batch, dtype=torch.long), torch.full((batch, 1), LETTERS.index("E"))
    while True:
        for coin in torch.randint(2, (segment, batch), generator=random):
            said = torch.cat([said, letters[state, coin, None]], dim=1)
            state = after[state, coin]
        yield nn.functional.one_hot(said[:, :-1], len(LETTERS)).float(), said[:, 1:]
        said = said[:, -1:]


def embedded() -> tuple[Tensor, Tensor]:
    """The embedded grammar as (states, 2) letters and the states behind them; a coin chooses."""
    edges, last = [[("B", 1)], [("T", 2), ("P", 3 + len(REBER))]], 4 + 2 * len(REBER)
    for own in "TP":
        begin = len(edges)
        edges += [[(word[k], begin + int(word[k + 1])) for k in range(0, len(word), 2)] for word in REBER]
        edges += [[(own, last)]]
    edges += [[("E", 0)]]
    pairs = [(edge * 2)[:2] for edge in edges]
    return (torch.tensor([[LETTERS.index(letter) for letter, _ in pair] for pair in pairs]),
            torch.tensor([[state for _, state in pair] for pair in pairs]))


# What is asked

def squared_at_the_end(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs[:, -1, 0] - y).square().mean()


def nats_at_the_end(outputs: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs[:, -1], y)


def nats(outputs: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy, the mean of all steps."""
    return nn.functional.cross_entropy(outputs.flatten(0, 1), y.flatten())


def second_last_wrong(outputs: Tensor, y: Tensor) -> Tensor:
    """Share of embedded words whose second-last letter is not foreseen: it is what stands before an E, and T or P."""
    t, p, e = (LETTERS.index(letter) for letter in "TPE")
    before, y = y[:, :-1], y[:, 1:]
    asked = (y == e) & ((before == t) | (before == p))
    return (outputs[:, :-1].argmax(dim=-1)[asked] != before[asked]).float().mean()


@dataclass(frozen=True)
class Kind:
    """What a task shows and asks. The floor is what the best answer without memory reaches."""

    batches: Callable[[int, int, torch.Generator], Batches]
    loss: Measure
    error: Measure
    unit: str
    floor: Callable[[int], float]       # gap -> error
    floor_says: str
    solved: Callable[[int], float]      # gap -> an error below it
    sizes: tuple[int, int]              # I, O
    parameters: int                     # about; 1,400 make an LSTM of 16 units
    batch: int
    fresh: int                          # batches in a look
    continual: bool = False             # one sequence without end: the state is carried from batch to batch


KINDS = {
    "adding": Kind(adding, squared_at_the_end, squared_at_the_end, "MSE", lambda gap: 1 / 6, "always 1",
                   lambda gap: 0.01, (2, 1), 1400, batch=64, fresh=16),
    "latch": Kind(latch, nats_at_the_end, nats_at_the_end, "nats", lambda gap: math.log(2), "a guess",
                  lambda gap: 0.1, (2, 2), 1400, batch=2, fresh=1),
    "recall": Kind(recall, nats_at_the_end, nats_at_the_end, "nats", lambda gap: math.log(2), "a guess",
                   lambda gap: 0.1, (4, 2), 1400, batch=16, fresh=16),
    "copy": Kind(copying, nats, nats, "nats", lambda gap: 10 * math.log(8) / (gap + 20), "blanks, then a guess",
                 lambda gap: 5 * math.log(8) / (gap + 20), (10, 10), 5000, batch=32, fresh=16),
    "reber": Kind(reber, nats, second_last_wrong, "wrong", lambda gap: 0.5, "a guess",
                  lambda gap: 0.003, (7, 7), 1400, batch=32, fresh=100, continual=True),
}


# Who is asked

def default(cell: str, module: nn.Module, units: int, gap: int) -> None:
    open_gates(cell, module, units, None)


def chrono(cell: str, module: nn.Module, units: int, gap: int) -> None:
    """Tallec & Ollivier 2018, told how long the gap is."""
    open_gates(cell, module, units, gap)


def as_drawn(cell: str, module: nn.Module, units: int, gap: int) -> None:
    """As torch draws it: a forget bias about 0."""


def orthogonal(cell: str, module: nn.Module, units: int, gap: int) -> None:
    """A rotation, so that nothing fades or grows at first (Saxe, McClelland & Ganguli 2014)."""
    nn.init.orthogonal_(module.get_parameter("weight_hh_l0"))


def never_forget(cell: str, module: nn.Module, units: int, gap: int) -> None:
    """As in 1997: the forget gate is 1 and stays so, and an input gate that starts nearly shut is the remedy against
    drift (Hochreiter & Schmidhuber 1997, section 4)."""
    let_in, forget = slice(units), slice(units, 2 * units)              # rows: i, f, g, o
    for name, weight in module.named_parameters():
        learns = torch.ones(len(weight), *[1] * (weight.dim() - 1))
        learns[forget] = 0
        weight.register_hook(learns.mul)
        rows = weight.detach()
        rows[forget] = 20.0 if name.startswith("bias") else 0.0         # two biases: sigmoid(20 + 20) is 1
        if name.startswith("bias"):
            rows[let_in] = -1.5


@dataclass(frozen=True)
class Contender:
    cell: str
    start: Callable[[str, nn.Module, int, int], None] = default
    start_says: str = "default"
    idle: int = 0                       # blocks of D rows that do not learn


CONTENDERS = {
    "lstm": Contender("lstm", default, "default (forget bias 1)"),
    "lstm-chrono": Contender("lstm", chrono, "chrono"),
    "lstm-bias0": Contender("lstm", as_drawn, "forget bias 0"),
    "lstm-1997": Contender("lstm", never_forget, "no forget gate, input bias -3", idle=1),
    "peephole": Contender("peephole", default, "default (forget bias 1)"),
    "coupled": Contender("coupled", default, "default (forget bias 1)"),
    "gru": Contender("gru"),
    "gru-chrono": Contender("gru", chrono, "chrono"),
    "rnn": Contender("rnn"),
    "rnn-orthogonal": Contender("rnn", orthogonal, "orthogonal"),
}


@dataclass(frozen=True)
class Task:
    """A row of the table: a kind, how far back the answer lies, and the budget."""

    kind: str
    gap: int                            # of reber: steps of a segment, through which gradients flow
    steps: int                          # at most
    seeds: int
    contenders: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.kind if KINDS[self.kind].continual else f"{self.kind} {self.gap}"


MARKOV, MOST_SHOWN = 40_000, 400        # symbols, and sequences, that a hidden Markov model is shown at most
STARTS = 5                              # of EM, the likeliest of which is asked
MARKOVS = {f"hmm-{states}": states for states in (2, 4, 8)}

EVERYONE = tuple(CONTENDERS)
ASKED_AT_ALL_GAPS = ("rnn", "gru", "lstm", "lstm-chrono", *MARKOVS)
TASKS = (
    Task("adding", 100, steps=2000, seeds=5, contenders=EVERYONE),
    Task("adding", 200, steps=3000, seeds=3, contenders=("lstm", "lstm-chrono", "gru")),
    Task("adding", 400, steps=3000, seeds=3, contenders=("lstm", "lstm-chrono", "gru")),
    Task("adding", 1000, steps=1000, seeds=3, contenders=("lstm", "lstm-chrono", "gru")),
    Task("latch", 10, steps=200, seeds=3, contenders=ASKED_AT_ALL_GAPS),
    Task("latch", 100, steps=200, seeds=3, contenders=ASKED_AT_ALL_GAPS),
    Task("latch", 1000, steps=200, seeds=3, contenders=(*(c for c in EVERYONE if c != "peephole"), *MARKOVS)),
    Task("recall", 10, steps=1000, seeds=3, contenders=ASKED_AT_ALL_GAPS),
    Task("recall", 100, steps=1000, seeds=3, contenders=ASKED_AT_ALL_GAPS),
    Task("recall", 1000, steps=300, seeds=3, contenders=ASKED_AT_ALL_GAPS),
    Task("copy", 20, steps=2000, seeds=3, contenders=("lstm", "lstm-chrono", "lstm-1997", "gru", "rnn-orthogonal")),
    Task("reber", 50, steps=1500, seeds=5, contenders=EVERYONE),
)


class Learner(nn.Module):
    """One layer of a cell, and a linear reading of its hidden state at every step."""

    def __init__(self, contender: Contender, units: int, task: Task) -> None:
        super().__init__()
        inputs, outputs = KINDS[task.kind].sizes
        self.cell = CELLS[contender.cell](inputs, units, 1, batch_first=True)
        self.head = nn.Linear(units, outputs)
        contender.start(contender.cell, self.cell, units, task.gap)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """x (B, T, I) -> outputs (B, T, O), the state after the last step."""
        hidden, state = self.cell(x, state)                             # (B, T, D)
        return self.head(hidden), state


def learning(contender: Contender, units: int, task: Task) -> int:
    """Parameters that learn."""
    every = sum(weight.numel() for weight in Learner(contender, units, task).parameters())
    return every - contender.idle * units * (KINDS[task.kind].sizes[0] + units + 2)


def sized(contender: Contender, task: Task) -> int:
    """Units with which the contender comes nearest to the parameters that all may have."""
    return min(range(2, 100), key=lambda units: abs(learning(contender, units, task) - KINDS[task.kind].parameters))


# A run

@dataclass(frozen=True)
class Run:
    task: Task
    contender: str
    seed: int
    steps: int
    error: float
    seconds: float                      # of one CPU
    parameters: int

    @property
    def solved(self) -> bool:
        return self.error < KINDS[self.task.kind].solved(self.task.gap)

    def __str__(self) -> str:
        ended = "solved" if self.solved else "not solved"
        return (f"{self.task.name:<12} {self.contender:<15} seed {self.seed}: {ended} at step {self.steps}, "
                f"error {self.error:.2g}, {self.seconds:.0f} s")


def run_markov(task: Task, contender: str, seed: int, peers: str) -> Run:
    """Fit a hidden Markov model in the environment of the peers, and ask it the same question."""
    kind = KINDS[task.kind]
    batches = kind.batches(task.gap, kind.batch, torch.Generator().manual_seed(seed))
    enough = min(MOST_SHOWN, MARKOV // (task.gap + 2)) // kind.batch
    shown = list(islice(batches, 1 if task.kind == "latch" else enough))
    fresh = islice(kind.batches(task.gap, kind.batch, torch.Generator().manual_seed(FRESH)), kind.fresh)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "sequences.npz")
        np.savez(file, shown=told(shown), fresh=told(fresh), answers=np.arange(2))
        line = [os.path.join(peers, "bin", "python"), os.path.join(os.path.dirname(__file__), "hidden_markov.py"), file,
                str(MARKOVS[contender]), str(STARTS), str(seed)]
        found = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return Run(task, contender, seed, found["iterations"], found["nats"], found["seconds"], found["parameters"])


def told(batches: Iterable[tuple[Tensor, Tensor]]) -> Any:
    """(sequences, steps) of symbols, the last one the answer; nothing at all is a symbol of its own."""
    parts = []
    for x, y in batches:
        symbol = torch.where(x.sum(dim=2) > 0, x.argmax(dim=2), x.shape[2])
        parts.append(torch.cat([symbol, y[:, None]], dim=1))
    return torch.cat(parts).numpy()


def run(task: Task, contender: str, seed: int, rate: float) -> Run:
    """Learn until solved or spent."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    kind, who = KINDS[task.kind], CONTENDERS[contender]
    units = sized(who, task)
    torch.manual_seed(seed)
    learner = Learner(who, units, task)
    optimiser = torch.optim.Adam(learner.parameters(), lr=rate)
    batches = kind.batches(task.gap, kind.batch, torch.Generator().manual_seed(seed))
    began, state = time.process_time(), None
    for step in range(EVERY, task.steps + 1, EVERY):
        for batch in islice(batches, EVERY):
            state = learn(learner, optimiser, kind, batch, state)
        result = Run(task, contender, seed, step, fresh_error(learner, task), time.process_time() - began,
                     learning(who, units, task))
        if result.solved:
            break
    return result


def learn(learner: Learner, optimiser: torch.optim.Optimizer, kind: Kind, batch: tuple[Tensor, Tensor],
          state: Any) -> Any:
    """One step; returns the state to go on from, None where a batch begins anew."""
    x, y = batch
    outputs, state = learner(x, state)
    optimiser.zero_grad()
    kind.loss(outputs, y).backward()
    nn.utils.clip_grad_norm_(learner.parameters(), CLIP)
    optimiser.step()
    return detached(state) if kind.continual else None


def detached(state: Any) -> Any:
    """Gradients end here; the values go on."""
    return tuple(map(detached, state)) if isinstance(state, tuple) else state.detach()


@torch.no_grad()
def fresh_error(learner: Learner, task: Task) -> float:
    """Of sequences that were not learnt from; a continual one is walked through without a pause."""
    kind, state = KINDS[task.kind], None
    said, true = [], []
    for x, y in islice(kind.batches(task.gap, kind.batch, torch.Generator().manual_seed(FRESH)), kind.fresh):
        outputs, state = learner(x, state if kind.continual else None)
        said.append(outputs)
        true.append(y)
    along = 1 if kind.continual else 0
    return kind.error(torch.cat(said, along), torch.cat(true, along)).item()


# The table

HEAD = ("| task | cell | start | parameters | solved | steps | error | CPU s |\n"
        "|---|---|---|---|---|---|---|---|")


def table(runs: Iterable[Run], tasks: Iterable[Task]) -> Iterator[str]:
    """Lines of markdown: each task's floor, then its contenders. Steps and seconds are medians."""
    yield HEAD
    runs = list(runs)
    for task in tasks:
        kind = KINDS[task.kind]
        yield (f"| **{task.name}** | *{kind.floor_says}* | | | below {kind.solved(task.gap):.2g} | at most "
               f"{task.steps:,} of {kind.batch} | {kind.floor(task.gap):.3g} {kind.unit} | |")
        for contender in task.contenders:
            yield row([r for r in runs if (r.task, r.contender) == (task, contender)])


def row(runs: list[Run]) -> str:
    """Of one contender on one task. The steps are those of the runs that solved it."""
    who = CONTENDERS.get(runs[0].contender)
    cell, start = (who.cell, who.start_says) if who else (runs[0].contender, f"EM, the best of {STARTS} starts")
    steps = [r.steps for r in runs if r.solved]
    errors = sorted(r.error for r in runs)
    when = f"{statistics.median(steps):,.0f}" if steps else "-"
    return (f"| | {cell} | {start} | {runs[0].parameters:,} | {len(steps)}/{len(runs)} | {when} | "
            f"{statistics.median(errors):.2g} ({errors[0]:.2g} to {errors[-1]:.2g}) | "
            f"{statistics.median(r.seconds for r in runs):.0f} |")


def planned(asked: argparse.Namespace) -> list[Task]:
    """The tasks that were asked for, with their budgets and contenders."""
    tasks = []
    for task in TASKS:
        markovs = tuple(c for c in task.contenders if c in MARKOVS and asked.peers)
        cells = tuple(CONTENDERS) if asked.full or asked.cells else tuple(c for c in task.contenders if c in CONTENDERS)
        chosen = tuple(c for c in (*cells, *markovs) if not asked.cells or c in asked.cells)
        seeds, steps = (10, 2 * task.steps) if asked.full else (task.seeds, task.steps)
        if not asked.task or any(word in task.name for word in asked.task):
            tasks.append(replace(task, contenders=chosen, seeds=asked.seeds or seeds, steps=asked.steps or steps))
    return tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every contender on every task, 10 seeds, twice the steps")
    parser.add_argument("--task", nargs="+", metavar="WORD", help="only tasks whose name holds one of these")
    parser.add_argument("--cells", nargs="+", choices=[*CONTENDERS, *MARKOVS],
                        help="only these contenders, on every task")
    parser.add_argument("--seeds", type=int, help="runs of each contender on each task")
    parser.add_argument("--steps", type=int, help=f"at most, in hundreds: there is a look every {EVERY}")
    parser.add_argument("--rate", type=float, default=RATE, help=f"Adam's learning rate (default {RATE})")
    parser.add_argument("--peers", metavar="FOLDER", help="a virtual environment with hmmlearn, for its rows")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="runs side by side")
    asked = parser.parse_args()
    if asked.steps is not None and asked.steps < EVERY:
        parser.error(f"--steps {asked.steps}: at least {EVERY}, the first look")
    tasks = planned(asked)
    if not tasks:
        parser.error(f"--task {' '.join(asked.task)}: there are {', '.join(task.name for task in TASKS)}")
    jobs = [(task, contender, seed, asked.rate, asked.peers) for task in tasks for contender in task.contenders
            for seed in range(task.seeds)]
    jobs.sort(key=lambda job: -job[0].gap * job[0].steps)               # long ones first: no worker ends alone
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"                           # for the workers, who start with this
    began, load, runs = time.perf_counter(), os.getloadavg()[0], list[Run]()
    with multiprocessing.get_context("spawn").Pool(asked.workers) as pool:
        for one in pool.imap_unordered(run_job, jobs):
            runs.append(one)
            print(f"{len(runs)}/{len(jobs)} {one}", file=sys.stderr, flush=True)
    print("\n".join(table(runs, tasks)))
    print(f"\nAdam at {asked.rate}, clip {CLIP}, {asked.workers} runs side by side, load {load:.1f} before and "
          f"{os.getloadavg()[0]:.1f} after, {(time.perf_counter() - began) / 60:.0f} min: "
          f"python {' '.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])}")


def run_job(job: tuple[Task, str, int, float, str]) -> Run:
    task, contender, seed, rate, peers = job
    return run_markov(task, contender, seed, peers) if contender in MARKOVS else run(task, contender, seed, rate)


if __name__ == "__main__":
    main()
