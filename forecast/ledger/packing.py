"""Packing: numbers and texts as the few bytes that the ledger keeps of them."""
# S series  H horizon  Q quantiles

from __future__ import annotations

import json
import zlib

import numpy as np

from forecast.series.arrays import Floats

MOST_PLACES = 15                                                        # behind the decimal mark, as whole numbers
MOST_TEXT = 256 * 2**20                                                 # bytes of a list of ids, far above any real one


def pack(values: Floats) -> tuple[bytes, bytes]:
    """Values (S, H, Q) as whole numbers of 10^-places, places (S,) the fewest that lose nothing; quantiles as steps
    from one to the next, bytes of one weight side by side, zlib. A series that cannot be written so keeps its bits
    (places -1).

    Of 7 significant digits a value takes 2.8 bytes, a third of its float64; `unpack` gives back the same floats."""
    places = np.full(len(values), -1, dtype=np.int8)
    whole = np.ascontiguousarray(values, dtype="<f8").view("<i8").copy()
    for p in range(MOST_PLACES + 1):
        if not (todo := np.flatnonzero(places < 0)).size:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(values[todo] * 10.0 ** p)
            exact = ((scaled / 10.0 ** p == values[todo]) & (np.abs(scaled) < 2.0 ** 53)).all(axis=(1, 2))
        places[todo[exact]] = p
        whole[todo[exact]] = scaled[exact].astype(np.int64)
    steps = np.diff(whole, axis=2, prepend=np.int64(0)).transpose(2, 1, 0)
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 8).T
    return places.tobytes(), zlib.compress(np.ascontiguousarray(planes).tobytes())


def unpack(places: bytes, numbers: bytes, horizon: int, quantiles: int) -> Floats:
    """Values (S, H, Q) as they were packed. Raises ValueError or zlib.error for what is no packing of that size."""
    count = len(places) * horizon * quantiles
    planes = np.frombuffer(unzipped(numbers, 8 * count), dtype=np.uint8).reshape(8, count)
    steps = np.ascontiguousarray(planes.T).view("<i8").reshape(quantiles, horizon, len(places))
    whole = np.ascontiguousarray(np.cumsum(steps, axis=0, dtype=np.int64).transpose(2, 1, 0))
    at = np.frombuffer(places, dtype=np.int8)
    values: Floats = whole / 10.0 ** np.maximum(at, 0)[:, None, None]
    values[at < 0] = whole[at < 0].view("<f8")
    return values


def packed_texts(texts: list[str]) -> bytes:
    """A list of texts, each different one once."""
    different = list(dict.fromkeys(texts))
    place = {text: k for k, text in enumerate(different)}
    codes = None if len(different) == len(texts) else [place[t] for t in texts]
    return zlib.compress(json.dumps([different, codes], separators=(",", ":")).encode())


def texts_of(packed: bytes) -> list[str]:
    different, codes = json.loads(unzipped(packed, None))
    return [str(t) for t in different] if codes is None else [str(different[k]) for k in codes]


def unzipped(packed: bytes, size: int | None) -> bytes:
    """`size` bytes, or any number up to MOST_TEXT; never more. Raises ValueError or zlib.error."""
    machine = zlib.decompressobj()
    content = machine.decompress(packed, (MOST_TEXT if size is None else size) + 1)
    if not machine.eof or (size is not None and len(content) != size):
        raise ValueError("another size than promised")
    return content
