"""Files of tutorials and exports as people have them, rebuilt small after their descriptions: each is read right, or
refused with one hint; the hint is then run, and works. `forecast help files` tells what becomes of each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.config import SETTINGS
from tests.tables import read, refused, written

HELP = Path(__file__).parent.parent / "forecast" / "help" / "files.md"
WEEK = [50, 53, 56, 59, 66, 72, 57]


def stamps(first: str, count: int, step: str) -> list[str]:
    """`count` stamps from `first`, as ISO 8601 writes them."""
    kind = {"D": "D", "W": "D", "M": "M", "h": "h", "15m": "m", "Y": "Y"}[step]
    size = {"W": 7, "15m": 15}.get(step, 1)
    return [str(t) for t in np.datetime64(first, kind) + size * np.arange(count)]


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


def us(day: str) -> str:
    year, month, date = day.split("-")
    return f"{int(month)}/{int(date)}/{year}"


def german(day: str) -> str:
    return ".".join(day.split("-")[::-1])


@dataclass(frozen=True)
class Kind:
    """A kind of file and what is right: ids, step, first and last time as written, the last value of the first series.
    hint: what the refusal says must be done, where it is refused."""

    build: Callable[[], str]
    ids: list[str]
    freq: str
    span: tuple[str, str]
    last: float
    hint: str = ""


DAYS = stamps("2024-01-01", 60, "D")
HOURS = stamps("2024-01-01T00", 96, "h")
KINDS = {
    "AirPassengers": Kind(lambda: table("Month,#Passengers", *(f"{m},{100 + k}" for k, m in enumerate(
        stamps("1949-01", 48, "M")))), ["#Passengers"], "MS", ("1949-01", "1952-12"), 147),
    "Shampoo sales": Kind(lambda: table('"Month","Sales"', *(f'"{y}-{m:02}",{10 * y + m}.5' for y in (1, 2, 3)
                                                              for m in range(1, 13))), ["Sales"], "MS",
                          ("1-01", "3-12"), 42.5),
    "Daily minimum temperatures": Kind(lambda: table('"Date","Temp"', *(f'"{d}",{WEEK[k % 7]}.5' for k, d in enumerate(
        DAYS))), ["Temp"], "D", ("2024-01-01", "2024-02-29"), 59.5),
    "Household power": Kind(lambda: table("Date;Time;Global_active_power", *(
        f"{int(d[8:])}/{int(d[5:7])}/{d[:4]};{h:02}:00:00;{h}.216" for d in stamps("2006-12-16", 6, "D")
        for h in range(24))), ["Global_active_power"], "h", ("16/12/2006 00:00:00", "21/12/2006 23:00:00"), 23.216),
    "Bike sharing": Kind(lambda: table("date_time,holiday,workingday,weather,temp,users,month,hour", *(
        f"{h.replace('T', ' ')}:00:00,0.0,1.0,clear,9.84,{16 + k % 11}.0,1,{k % 24}" for k, h in enumerate(HOURS))),
        ["users"], "h", ("2024-01-01 00:00:00", "2024-01-04 23:00:00"), 23, "--target users"),
    "Walmart store sales": Kind(lambda: table("Store,Dept,Date,Weekly_Sales,IsHoliday", *(
        f"{s},{d},{w},{1000 * s + k}.5,FALSE" for s in (1, 2) for d in (1, 98) for k, w in enumerate(
            stamps("2010-02-05", 30, "W")))), ["1/1", "1/98", "2/1", "2/98"], "W-FRI", ("2010-02-05", "2010-08-27"),
        1029.5),
    "Rossmann": Kind(lambda: table("Store,DayOfWeek,Date,Sales,Customers,Open,Promo", *(
        f"{s},{7 - k % 7},{d},{1000 * s + k},{500 + k},1,0" for k, d in enumerate(DAYS[::-1]) for s in (1, 2))),
        ["1", "2"], "D", ("2024-01-01", "2024-02-29"), 1000),
    "Store item demand": Kind(lambda: table("date,store,item,sales", *(
        f"{d},{s},{i},{100 * s + 10 * i + k % 7}" for s in (1, 2) for i in (1, 2) for k, d in enumerate(DAYS))),
        ["1/1", "1/2", "2/1", "2/2"], "D", ("2024-01-01", "2024-02-29"), 113),
    "M4 in rows": Kind(lambda: table(",".join(f'"V{k}"' for k in range(1, 32)), *(
        f'"{i}",' + ",".join(f'"{100 * n + k}"' for k in range(30)) for n, i in enumerate(("H1", "H2", "H3")))),
        ["H1", "H2", "H3"], "step", ("V2", "V31"), 29, "--turn"),
    "M5 in rows": Kind(lambda: table("id,item_id,store_id," + ",".join(f"d_{k}" for k in range(1, 61)), *(
        f"{i}_CA_1,{i},CA_1," + ",".join(str(WEEK[k % 7]) for k in range(60)) for i in ("HOBBIES_1", "HOBBIES_2"))),
        ["HOBBIES_1_CA_1", "HOBBIES_2_CA_1"], "step", ("d_1", "d_60"), 59, "--turn"),
    "COVID time series": Kind(lambda: table("Province/State,Country/Region,Lat,Long," + ",".join(
        f"{us(d)[:-4]}{d[2:4]}" for d in DAYS), *(f'{p},"{c}",1.5,-2.5,' + ",".join(str(n + k) for k in range(60))
                                                   for n, (p, c) in enumerate([("", "Korea, South"), ("A", "Canada"),
                                                                               ("B", "Canada")]))),
        ["/Korea, South", "A/Canada", "B/Canada"], "D", ("1/1/24", "2/29/24"), 59, "--turn"),
    "World bank": Kind(lambda: '"Data Source","World Development Indicators",\n\n"Last Updated Date","2024-05-30",\n\n'
                       + table('"Country Name","Country Code","Indicator Code",' + ",".join(
                           f'"{y}"' for y in range(1990, 2010)), *(f'"{c}","{c[:3]}","GDP",' + ",".join(
                               f'"{100 * n + y}.5"' for y in range(20)) for n, c in enumerate(
                                   ("Aruba", "Chad", "Peru")))),
                       ["Aruba", "Chad", "Peru"], "YS", ("1990", "2009"), 19.5, "--turn"),
    "Open-Meteo": Kind(lambda: "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation\n"
                       "52.5,13.4,38.0,0,GMT,GMT\n\n" + table("time,temperature_2m (°C),rain (mm)", *(
                           f"{h}:00,{k % 24}.5,0.00" for k, h in enumerate(HOURS))),
                       ["temperature_2m (°C)", "rain (mm)"], "h", ("2024-01-01T00:00", "2024-01-04T23:00"), 23.5),
    "Campbell logger": Kind(lambda: '"TOA5","CR1000","CR1000","12345","CR1000.Std.32","CPU:p.CR1","4321","Hourly"\n'
                            '"TIMESTAMP","RECORD","AirTC_Avg"\n"TS","RN","Deg C"\n"","","Avg"\n' + "".join(
                                f'"{h.replace("T", " ")}:00:00",{k},{k % 24}.25\n' for k, h in enumerate(HOURS)),
                            ["AirTC_Avg"], "h", ("2024-01-01 00:00:00", "2024-01-04 23:00:00"), 23.25),
    "Google Trends": Kind(lambda: "Category: All categories\n\n" + table("Week,sun cream: (United Kingdom)", *(
        f"{w},{'<1' if k % 10 == 3 else 20 + k}" for k, w in enumerate(stamps("2021-01-03", 50, "W")))),
        ["sun cream: (United Kingdom)"], "W-SUN", ("2021-01-03", "2021-12-12"), 69, '--missing "<1"'),
    "Smart meter": Kind(lambda: "\ufeff" + table("Datum;Zeit von;Zeit bis;Verbrauch [kWh]", *(
        f"{german(d)};{h:02}:{m:02};{h:02}:{m + 14:02};0,{h:02}{m // 15}" for d in DAYS[:6] for h in range(24)
        for m in (0, 15, 30, 45))), ["Verbrauch [kWh]"], "15min", ("01.01.2024 00:00", "06.01.2024 23:45"), 0.233),
    "National accounts": Kind(lambda: table("Quarter,GDP", *(f"{y}.{q},{y - 1900}.{q}" for y in range(2010, 2020)
                                                              for q in (1, 2, 3, 4))), ["GDP"], "QS",
                              ("2010.1", "2019.4"), 119.4),
    "FRED": Kind(lambda: table("observation_date,UNRATE", *(f"{m}-01,{4 + k % 3}.{k % 10}" for k, m in enumerate(
        stamps("2015-01", 60, "M")))), ["UNRATE"], "MS", ("2015-01-01", "2019-12-01"), 6.9),
    "Yahoo prices": Kind(lambda: table("Date,Open,High,Low,Close,Adj Close,Volume", *(
        f"{d},1.5,2.5,1.0,{k}.25,{k}.25,1000" for k, d in enumerate(d for d in DAYS if np.is_busday(d)))),
        ["Close"], "B", ("2024-01-01", "2024-02-29"), 43.25, ""),
    "Power BI matrix": Kind(lambda: table("Region,Product,Month,Amount", *(
        f'North,{p},{m},"{1 + k},250.00"' for p in ("Bolt", "Nut") for k, m in enumerate(
            stamps("2020-01", 36, "M")))), ["Bolt", "Nut"], "MS", ("2020-01", "2022-12"), 36250.0),
    "Prophet example": Kind(lambda: table('"ds","y"', *(f'"{d}",{8 + k / 100:.2f}' for k, d in enumerate(DAYS))),
                            ["y"], "D", ("2024-01-01", "2024-02-29"), 8.59),
    "Nixtla long": Kind(lambda: table("unique_id,ds,y", *(f"{u},{k},{100 * n + k}" for n, u in enumerate(
        ("H1", "H2")) for k in range(1, 61))), ["H1", "H2"], "step", ("1", "60"), 60),
}


def flags_in(hint: str) -> dict[str, Any]:
    """The settings that the flags of a hint stand for, taken as a shell takes them."""
    words, options = shlex.split(hint[hint.index("--"):]), dict[str, Any]()
    while words and words[0].startswith("--"):
        setting = SETTINGS["data." + words.pop(0)[2:].replace("-", "_")]
        value: Any = True if setting.kind is bool else words.pop(0)
        options[setting.key.split(".")[1]] = setting.check(value, source="hint")
    return options


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_this_kind_is_read_or_its_hint_makes_it(name: str) -> None:
    kind, options = KINDS[name], dict[str, Any]()
    if name == "Yahoo prices":                                      # seven columns of numbers are seven series
        options = {"target": "Close"}
        assert len(read(kind.build()).panel) == 6
    elif kind.hint:
        hint = refused(kind.build()).hint or ""
        assert kind.hint in hint
        options = flags_in(hint)
    reading = read(kind.build(), **options)
    assert reading.panel.ids.tolist() == kind.ids
    assert reading.contract.calendar.freq == kind.freq
    times = written(reading)
    assert (times[0], times[-1]) == kind.span
    assert reading.panel.values(0)[-1] == pytest.approx(kind.last)


def test_the_handbook_tells_of_each_kind() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", HELP.read_text(), re.MULTILINE)
    assert len(KINDS) == 22
    assert rows[1:] == list(KINDS)
