"""Layers of recurrent cells for training: the fast torch twins of cells.py, with torch's names for the weights.

What one step computes is cells.py's business, and the tests hold these equal to it; which inputs come, and what is made
of the hidden states, is torch_network.py's."""

# B batch  T steps  I inputs  D hidden  E = D, or 2 D in both directions  G blocks of D rows  N layers times directions

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecast.model import cells

State = tuple[Tensor, Tensor]                                           # h and c, each (N, B, D); within a layer (B, D)


class Layers(nn.Module):
    """What every cell of our own shares: layers upon layers, in one or both directions. A cell says how it scans.

    Called like nn.LSTM with batch_first: x (B, T, I) and perhaps a first state -> hidden (B, T, E), the last state."""

    cell: cells.Cell

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, batch_first: bool = True,
                 bidirectional: bool = False) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError(f"{type(self).__name__} takes (B, T, I) alone: batch_first=True")
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.directions = ("", "_reverse") if bidirectional else ("",)
        rows, bound = self.cell.blocks * hidden_size, hidden_size ** -0.5                   # torch's own bound
        for layer in range(num_layers):
            inputs = hidden_size * len(self.directions) if layer else input_size
            for direction in self.directions:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden_size),
                                                      "bias_ih": (rows,), "bias_hh": (rows,)}
                if self.cell.peepholes:
                    shapes["peephole"] = (3, hidden_size)
                for name, shape in shapes.items():
                    drawn = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
                    self.register_parameter(f"{name}_l{layer}{direction}", drawn)

    def forward(self, x: Tensor, hx: State | None = None) -> tuple[Tensor, State]:
        if hx is None:
            zeros = x.new_zeros(self.num_layers * len(self.directions), len(x), self.hidden_size)
            hx = zeros, zeros
        x, last = x.transpose(0, 1), list[State]()                      # (T, B, I): a step's rows lie together
        for layer in range(self.num_layers):
            outputs = []
            for direction in self.directions:
                first = hx[0][len(last)], hx[1][len(last)]
                hidden, state = self.scan(x.flip(0) if direction else x, first, self._weights(f"l{layer}{direction}"))
                outputs.append(hidden.flip(0) if direction else hidden)
                last.append(state)
            x = torch.cat(outputs, dim=-1)                              # (T, B, E)
        return x.transpose(0, 1), (torch.stack([h for h, _ in last]), torch.stack([c for _, c in last]))

    def scan(self, x: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
        """One layer in one direction: x (T, B, I) -> hidden (T, B, D), the last state."""
        raise NotImplementedError

    def _weights(self, end: str) -> list[Tensor]:
        """Of one layer in one direction ("l0", "l0_reverse"), in the order they were made."""
        return [weight for name, weight in self.named_parameters() if name.endswith(f"_{end}")]


class CoupledLSTM(Layers):
    """i = 1 - f (CIFG, Greff et al. 2017), computed by torch's LSTM: 1 - sigmoid(a) = sigmoid(-a), so an LSTM whose
    input rows are the negated forget rows is exactly this cell, and gradients add up through the copies."""

    cell = cells.CELLS["coupled"]

    def scan(self, x: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
        h, c = state
        tied = [torch.cat([-k[:self.hidden_size], k]) for k in weights]                     # rows i = -f; f, g, o
        parts = torch.cat([k.flatten() for k in tied]).split_with_sizes([k.numel() for k in tied])
        tied = [part.view_as(k) for part, k in zip(parts, tied, strict=True)]               # in one piece, for cuDNN
        hidden, h, c = torch.lstm(x, (h[None], c[None]), tied, True, 1, 0.0, self.training, False, False)
        return hidden, (h[0], c[0])


class PeepholeLSTM(Layers):
    """The gates also see the cell (Gers & Schmidhuber 2000); zero peepholes give back LSTM."""

    cell = cells.CELLS["peephole"]

    def scan(self, x: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
        w, u, b, b_u, p = weights
        hidden, c = Peephole.apply(F.linear(x, w, b + b_u), *state, u, p)                   # type: ignore[no-untyped-call]
        return hidden, (hidden[-1], c)


class Peephole(torch.autograd.Function):
    """a = W x + b (T, B, 4 D), first h and c (B, D), U (4 D, D), p (3, D) -> hidden (T, B, D), the last c (B, D).

    Back through time by hand (Werbos 1990), since autograd would keep and walk a dozen nodes a step: every slope is
    taken for all steps at once, and along time runs only what must."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, h: Tensor, c: Tensor, u: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        steps, batch, d = len(a), *h.shape
        gates = torch.empty_like(a)                                     # (T, B, 4 D)
        hidden, cell = a.new_empty(2, steps + 1, batch, d)              # entry 0 is the first state
        tanh_c = a.new_empty(steps, batch, d)
        hidden[0], cell[0] = h, c
        p_i, p_f, p_o = p
        for t in range(steps):
            c, c_new = cell[t], cell[t + 1]
            i, f, g, o = torch.addmm(a[t], hidden[t], u.T, out=gates[t]).chunk(4, dim=-1)
            i.addcmul_(p_i, c).sigmoid_()
            f.addcmul_(p_f, c).sigmoid_()
            g.tanh_()
            torch.mul(f, c, out=c_new).addcmul_(i, g)
            o.addcmul_(p_o, c_new).sigmoid_()                           # sees the new cell
            torch.mul(o, torch.tanh(c_new, out=tanh_c[t]), out=hidden[t + 1])
        ctx.save_for_backward(gates, hidden, cell, tanh_c, u, p)
        return hidden[1:], cell[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_hidden: Tensor, d_c: Tensor) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled():                                     # once_differentiable misses some of these
            raise NotImplementedError("PeepholeLSTM has no second derivative: ask without create_graph")
        gates, hidden, cell, tanh_c, u, p = ctx.saved_tensors
        p_i, p_f, p_o = p
        c, c_new = cell[:-1], cell[1:]
        gates = gates.view(*c.shape[:2], 4, -1)                         # (T, B, 4, D)
        d_a = torch.addcmul(gates, gates, gates, value=-1)              # the slope of a sigmoid s is s (1 - s)
        i, f, g, o = gates.unbind(2)
        d_i, d_f, d_g, d_o = d_a.unbind(2)                              # each (T, B, D)
        d_i *= g                                                        # so far of c_new by a,
        d_f *= c
        torch.addcmul(i, i * g, g, value=-1, out=d_g)
        d_o *= tanh_c                                                   # and of h by a
        c_by_c = torch.addcmul(f, d_i, p_i).addcmul_(d_f, p_f)
        h_by_c = torch.addcmul(o, o * tanh_c, tanh_c, value=-1).addcmul_(d_o, p_o)
        d_h, d_c = torch.zeros_like(d_c), d_c.clone()
        for t in reversed(range(len(gates))):
            d_h += d_hidden[t]
            d_c.addcmul_(d_h, h_by_c[t])
            d_a[t, :, :3] *= d_c[:, None]                               # i, f and g reach the loss through c
            d_o[t] *= d_h
            d_c *= c_by_c[t]
            torch.mm(d_a[t].flatten(1), u, out=d_h)
        d_a = d_a.flatten(2)                                            # (T, B, 4 D)
        d_u = d_a.flatten(0, 1).T @ hidden[:-1].flatten(0, 1)
        d_p = torch.stack([(d * seen).sum(dim=(0, 1)) for d, seen in ((d_i, c), (d_f, c), (d_o, c_new))])
        return d_a, d_h, d_c, d_u, d_p


CELLS: dict[str, Callable[..., nn.Module]] = {
    "lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "peephole": PeepholeLSTM, "coupled": CoupledLSTM,
}
KEEPS = {"lstm": 1, "peephole": 1, "coupled": 0, "gru": 1}              # which block of rows keeps the old state
PUTS = {"lstm": 0, "peephole": 0}                                       # and which lets in the new, where it is another


def open_gates(name: str, module: nn.Module, hidden: int, memory: float | None = None) -> None:
    """Begin with gates that remember: in `module`, layers of the cell `name` with `hidden` units, biases are redrawn.

    Without `memory` the forget bias is 1 (Gers et al. 2000, Jozefowicz et al. 2015); GRU and RNN stay as torch has
    them. With it every unit gets a time scale of up to `memory` steps: forget bias ~ log U[1, memory - 1], and where
    what comes in has a gate of its own, that bias is the negative (chrono initialisation, Tallec & Ollivier 2018). An
    RNN has no gates. Torch keeps two biases a gate: one is set, the other cleared. Draws are from torch's global
    generator."""
    if name not in KEEPS or (name == "gru" and memory is None):
        return
    for bias_name, bias in module.named_parameters():
        if not bias_name.startswith("bias"):
            continue
        keep = torch.zeros(hidden)
        if bias_name.startswith("bias_ih"):
            keep = torch.ones(hidden) if memory is None else torch.empty(hidden).uniform_(1, max(memory - 1, 1)).log_()
        rows = bias.detach().view(-1, hidden)                           # (G, D)
        rows[KEEPS[name]] = keep
        if name in PUTS and memory is not None:
            rows[PUTS[name]] = -keep
