"""The machine under the numbers: process set-up before torch is imported, threads, and the device to compute on."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from forecast.errors import RequestError

if TYPE_CHECKING:
    import torch

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
    """CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def is_fast_in_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster here: on a CPU with instructions for them, and whose LSTM then still
    computes what it does in float32 (to the 8 bits of bfloat16)."""
    import torch

    if device.type != "cpu" or not (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()):
        return False
    generator = torch.Generator().manual_seed(0)
    x, weights = (torch.rand(size, generator=generator) - 0.5 for size in ((4, 6, 32), (64, 32)))
    cell = torch.nn.LSTM(32, 16, batch_first=True)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(weights[:parameter.shape[0], :16 if parameter.shape[-1] == 16 else 32].reshape(
                parameter.shape) if parameter.ndim == 2 else weights[:, 0])
        exact = cell(x)[0]
        with torch.autocast("cpu", torch.bfloat16):
            rough = cell(x)[0].float()
    return bool((rough - exact).abs().max() < 0.02)


def set_up(name: str = "auto", threads: int | None = None) -> torch.device:
    """Import torch, set threads, flush denormals (they make a step up to 9 times slower), pick the device.

    Raises RequestError where the device asked for is not there."""
    prepare()
    import torch

    torch.set_flush_denormal(True)
    torch.set_num_threads(threads or usable_cpus())
    torch.set_deterministic_debug_mode("error")                         # its twin, use_..., imports a compiler: 2 s
    torch.utils.deterministic.fill_uninitialized_memory = False         # type: ignore[attr-defined]  # it costs a tenth
    _keep_pages()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there.get(name):
        raise RequestError(f"--device {name}: there is none here", code="no_device",
                           hint="Use --device " + " or ".join(d for d, here in there.items() if here))
    return torch.device(name)
