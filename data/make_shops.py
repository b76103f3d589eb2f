"""Writes shops.csv: daily sales of eight made-up shops, with what moves them.

    python data/make_shops.py [PATH]        (default: shops.csv beside this file)

The same bytes each time: one seed, and numbers rounded long before a processor's last digit could show. Sales are

    level x trend x weekday x time of year x promotion x price x weather x noise

each factor of its own kind, as sales have them; a closed day sells 0."""

# T days

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEED = 7
LAST_DAY = np.datetime64("2026-06-30")
HEADER = "store,date,sales,price,promo,temperature,region"
CLIMATE = {"north": (8.0, 9.0), "south": (14.0, 8.0), "coast": (11.0, 5.0)}     # °C: mean, half of summer - winter
WEEK = np.array([0.85, 0.82, 0.90, 1.00, 1.20, 1.45, 0.78])                     # Monday to Sunday


@dataclass(frozen=True)
class Shop:
    """What makes one shop different from the next."""

    store: str                      # text, zeros in front included
    region: str
    level: float                    # sales of an ordinary day at the end
    growth: float                   # per year: 0.08 is 8 %
    summer: float                   # 0.2: a fifth more in July, a fifth less in January
    price: float
    elasticity: float               # 1 % dearer sells this many percent less
    uplift: float                   # a promotion multiplies sales by this
    noise: float                    # standard deviation of log sales
    days: int = 730                 # of history
    closed_sundays: bool = False
    missing: tuple[str, ...] = ()   # days without a row


SHOPS = (
    Shop("007", "north", 120, 0.06, 0.10, 4.90, 1.4, 1.6, 0.08),
    Shop("012", "north", 45, -0.04, -0.15, 5.20, 0.9, 1.4, 0.14),
    Shop("101", "south", 310, 0.10, 0.20, 4.50, 1.8, 1.5, 0.06, closed_sundays=True),
    Shop("118", "south", 80, 0.05, 0.15, 4.70, 1.2, 1.5, 0.10, days=40),
    Shop("204", "south", 160, 0.02, 0.25, 4.60, 1.5, 1.7, 0.09,
         missing=("2025-02-11", "2025-08-03", "2025-08-04", "2025-08-05", "2026-03-22")),
    Shop("305", "coast", 210, 0.00, 0.45, 5.40, 0.7, 1.3, 0.10),
    Shop("311", "coast", 12, 0.15, 0.35, 5.60, 0.8, 1.5, 0.20),
    Shop("A20", "coast", 540, 0.08, 0.30, 4.30, 2.0, 1.8, 0.07),
)


def temperatures(rng: np.random.Generator, region: str, days: NDArray[np.datetime64]) -> Floats:
    """Degrees Celsius (T,): the climate's yearly wave, and weather that lasts some days."""
    mean, swing = CLIMATE[region]
    weather = np.zeros(len(days))
    for t, shock in enumerate(rng.normal(0, 1.6, len(days))):
        weather[t] = 0.75 * weather[t - 1] + shock                              # at t = 0 the last is still 0
    return np.round(mean + swing * year_wave(days) + weather, 1)


def year_wave(days: NDArray[np.datetime64]) -> Floats:
    """+1 in the middle of July, -1 in the middle of January (T,)."""
    day_of_year = (days - days.astype("datetime64[Y]")).astype(np.int64)
    wave: Floats = np.cos(2 * np.pi * (day_of_year - 196) / 365.25)
    return wave


def promotions(rng: np.random.Generator, days: int) -> NDArray[np.bool_]:
    """Whether a promotion runs (T,): now and then, for three to seven days."""
    running = np.zeros(days, dtype=bool)
    start = int(rng.integers(5, 30))
    while start < days:
        running[start:start + int(rng.integers(3, 8))] = True
        start += int(rng.integers(20, 45))
    return running


def prices(rng: np.random.Generator, shop: Shop, promo: NDArray[np.bool_]) -> Floats:
    """Price (T,): a new list price every few months, a tenth off while a promotion runs."""
    steps = rng.normal(0, 0.03, len(promo) // 120 + 1).cumsum()
    listed = shop.price * (1 + np.repeat(steps - steps[0], 120)[:len(promo)])
    return np.round(listed * np.where(promo, 0.9, 1.0), 2)


def rows(shop: Shop, weather: dict[str, Floats], days: NDArray[np.datetime64], rng: np.random.Generator
         ) -> Iterator[str]:
    """The lines of one shop, oldest first."""
    promo = promotions(rng, len(days))
    price = prices(rng, shop, promo)
    temperature = weather[shop.region]
    weekday = (days.astype("datetime64[D]").astype(np.int64) + 3) % 7           # 1970-01-01 was a Thursday
    years_to_go = np.arange(len(days))[::-1] / 365.25
    expected = (shop.level * (1 + shop.growth) ** -years_to_go * WEEK[weekday] * (1 + shop.summer * year_wave(days))
                * np.where(promo, shop.uplift, 1.0) * (price / shop.price) ** -shop.elasticity
                * (1 + 0.006 * (temperature - CLIMATE[shop.region][0])))
    sales = np.round(expected * np.exp(rng.normal(0, shop.noise, len(days)))).astype(np.int64)
    if shop.closed_sundays:
        sales[weekday == 6] = 0
    for t in range(len(days) - shop.days, len(days)):
        if str(days[t]) not in shop.missing:
            yield (f"{shop.store},{days[t]},{sales[t]},{price[t]:.2f},{int(promo[t])},{temperature[t]:.1f},"
                   f"{shop.region}")


def table() -> str:
    """The whole file."""
    rng = np.random.default_rng(SEED)
    days = np.arange(LAST_DAY - max(shop.days for shop in SHOPS) + 1, LAST_DAY + 1)
    weather = {region: temperatures(rng, region, days) for region in CLIMATE}
    lines = [HEADER, *(line for shop in SHOPS for line in rows(shop, weather, days, rng))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("shops.csv")
    target.write_text(table(), encoding="utf-8", newline="\n")
