"""The machine under the numbers: process set-up before torch is imported, threads, and the device to compute on."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import RequestError
from forecast.system.ranks import rank

if TYPE_CHECKING:
    import torch

_FOUND: list[Callable[[], None]] = []                                   # how torch gets back what `set_up` changed
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3                             # of glibc's malloc.h


def prepare(*, threads: int | None = None) -> None:
    """Settings that only work before numpy and torch are imported. A value the user has set stays.

    OpenMP threads sleep while they wait: spinning ones steal the core they wait for on a busy machine.
    cuBLAS gets a fixed workspace, without which an LSTM on a GPU is not repeatable. `threads` of numpy's BLAS: a small
    job is done before a second one would be of use."""
    if threads is not None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def spare_pandas() -> None:
    """Arrow imports pandas at its first array, to know its kinds; a small forecast is done sooner than that.

    Not found once, pandas is left alone until something needs it itself."""
    if "pandas" in sys.modules:
        return
    hidden: Any = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        import pyarrow

        pyarrow.array([0])
    finally:
        sys.meta_path.remove(hidden)


class _Hidden:
    """Lets nobody find pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)


def _keep_pages() -> None:
    """Have glibc keep the memory that is freed: a training step gives back and takes anew the same megabytes, and each
    page of them would be faulted in again."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        for option, value in ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(option, value)


def usable_cpus() -> int:
    """CPUs this process may run on; its share of them, where it trains together with others of this machine."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // rank().neighbours)


@functools.cache
def works_in_bfloat16(cell: Callable[..., torch.nn.Module], device: torch.device) -> bool:
    """Whether a cell, made and called like nn.LSTM, can be trained here with its products in bfloat16: a small trial
    runs, and forward and back it comes to what float32 comes to (to the 8 bits of bfloat16).

    Flags of a processor do not tell: kernels may be missing, or be kept from using what it has."""
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        trial = cell(32, 16, batch_first=True).to(device)
        x = (torch.rand(4, 6, 32) - 0.5).to(device).requires_grad_()

    def run(*, rough: bool) -> tuple[torch.Tensor, ...]:
        with torch.autocast(device.type, torch.bfloat16, enabled=rough):
            hidden = trial(x)[0].float()
        return hidden.detach(), *torch.autograd.grad(hidden.square().sum(), [x, *trial.parameters()])

    try:
        exact, rough = run(rough=False), run(rough=True)
    except RuntimeError:                                                # there is no such kernel here
        return False
    return all(bool((r - e).abs().max() < 0.05 * e.abs().max()) for r, e in zip(rough, exact, strict=True))


@functools.cache
def is_fast_in_bfloat16(device: torch.device) -> bool:
    """Whether an LSTM's products in bfloat16 are faster here, and right: on a CPU with instructions for them."""
    import torch

    return (device.type == "cpu" and works_in_bfloat16(torch.nn.LSTM, device)
            and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()))


def set_up(name: str = "auto", threads: int | None = None) -> torch.device:
    """Import torch, set threads, flush denormals (they make a step up to 9 times slower), pick the device.

    Raises RequestError where the device asked for is not there."""
    prepare()
    import torch

    if not _FOUND:
        _FOUND.append(_settings_of_torch())
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads or usable_cpus())
    torch.set_deterministic_debug_mode("error")                         # its twin, use_..., imports a compiler: 2 s
    torch.utils.deterministic.fill_uninitialized_memory = False         # type: ignore[attr-defined]  # it costs a tenth
    _keep_pages()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there.get(name):
        raise RequestError(f"--device {name}: there is no such device here", code="no_device",
                           hint="Use --device " + " or ".join(d for d, here in there.items() if here))
    own = rank()
    several = own.neighbours > 1 and name == "cuda"
    return torch.device(name, own.here % torch.cuda.device_count()) if several else torch.device(name)


def _settings_of_torch() -> Callable[[], None]:
    """What puts all that `set_up` and a training change for the whole process back to what it is now."""
    import torch

    memory: Any = torch.utils.deterministic
    mode, fills = torch.get_deterministic_debug_mode(), memory.fill_uninitialized_memory
    threads, random, flushes = torch.get_num_threads(), torch.get_rng_state(), not sys.float_info.min / 2

    def put_back() -> None:
        torch.set_flush_denormal(flushes)
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        memory.fill_uninitialized_memory = fills
        torch.set_rng_state(random)

    return put_back


@contextmanager
def lent() -> Iterator[None]:
    """For a process that has torch for purposes of its own: afterwards its settings are as they were. One at a time."""
    _FOUND.clear()
    try:
        yield
    finally:
        for put_back in _FOUND:
            put_back()
        _FOUND.clear()


def memory() -> int:
    """Bytes that this process may have: of the machine, or of the group of processes it is confined to."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return whole
    return min(whole, int(limit)) if limit.isdigit() else whole
