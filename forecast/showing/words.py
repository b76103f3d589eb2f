"""Words: an inspection as plain values, and the same in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from forecast.explaining.influence import Influence, by_cycle
from forecast.explaining.inspection import Inspection, Layer, bounds_of, classes_of, fading, names_of
from forecast.series.arrays import Floats
from forecast.showing.inside import spoken
from forecast.showing.layout import Table
from forecast.store.run import Run
from forecast.text import cell_name, counted

Length = Callable[..., dict[str, Any]]                                  # points (, digits) -> {"points": , "words": }
NAMED = 3                                                               # properties, and cycles, told in a line
STILL = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01}                  # of what the point moves that counts most
_SHARES = (("shortest", 0.0), ("quartile", 0.25), ("median", 0.5), ("upper", 0.75), ("longest", 1.0))
SATURATED = 0.1                                                         # slope of tanh below which a unit is deaf


# the document: every number, lengths of time in points and in words

def described(look: Inspection, run: Run, lags: int) -> dict[str, Any]:
    """All of an inspection as plain values. What rests on a network that is not used is None."""
    calendar, contract, plan = run.contract.calendar, run.contract, look.plan
    shape = run.predictor.leader.shape

    def length(points: float, digits: int = 2) -> dict[str, Any]:
        return {"points": points, "words": spoken(points, calendar, digits)}

    def stamps(first: int, last: int) -> dict[str, str]:
        texts = contract.time_text(calendar.times([first, last]))
        return {"from": texts[0], "to": texts[1]}

    known = look.first + int((look.y == look.y).argmax())              # the first point that is there
    main = look.main
    return {
        "series": look.series, "source": run.predictor.name, "used": bool(look.layers),
        "shares": run.predictor.shares(look.series), "networks": len(run.predictor.members),
        "cell": {"kind": look.cell, "units": shape.hidden, "layers": shape.layers,
                 "bidirectional": shape.bidirectional, "steps": shape.steps, "step": length(plan.segment),
                 "head": shape.head, "embedding": shape.embedding},
        "context": length(plan.context) | stamps(known, look.first + plan.context - 1),
        "seasons": [length(m) for m in plan.seasons if m > 1], "windows": look.windows,
        "memory": None if main is None else _memory(main, look, length),
        "decoder": _decoder(look, length),
        "resets": None if look.usual is None else {
            "usual": look.usual, "moments": [stamps(r.first, r.last) | {"gate": r.level, "below": r.depth}
                                              for r in look.resets]},
        "input_gate": None if main is None or main.let_in is None else {
            "mean": float(main.let_in.mean()),
            "goes_with": [{"property": d.name, "period": length(d.period) if d.period else None, "r": d.r,
                           "chance": d.limit, "stands_out": d.stands_out} for d in look.drivers]},
        "exposure": None if look.exposure is None or main is None else _exposure(look, main),
        "attention": None if look.attention is None else _attention(look.attention, look, stamps),
        "influence": _influence(look.influence, look, lags, length),
        "layers": {name: _layer(layer) for name, layer in look.layers.items()}}


def _memory(main: Layer, look: Inspection, length: Length) -> dict[str, Any]:
    short, long = bounds_of(look.plan)
    classes = classes_of(main.half_lives, look.plan)
    counts = np.bincount(classes[classes >= 0], minlength=3).tolist()
    slope = main.gates.get("slope")
    return {
        "half_life": {name: length(main.quantile(share)) for name, share in _SHARES},
        "by": "the gate that keeps" if slope is None else "a disturbance of the unit",
        "units": dict(zip(names_of(look.plan), counts, strict=True)),
        "beyond_context": int((main.half_lives > look.plan.context).sum()),
        "short_below": length(short), "long_above": length(long),
        "disturbance": None if main.disturbance is None else {
            "half_life": length(fading(main.disturbance) * look.plan.segment), "left": main.disturbance,
            "followed": length((len(main.disturbance) - 1) * look.plan.segment),
            "at_the_end": float(main.disturbance[-1])},
        "slope": None if slope is None else {"mean": float(slope.mean()),
                                             "saturated": float((slope < SATURATED).mean())}}


def _decoder(look: Inspection, length: Length) -> dict[str, Any] | None:
    last = look.writes
    if last is None:
        return None
    left = last.disturbance
    return {"steps": len(last.hidden), "step": length(look.plan.segment),
            "half_life": {name: length(last.quantile(share)) for name, share in _SHARES},
            "left": left, "at_the_end": None if left is None else float(left[-1]),
            "layers": {name: _layer(layer) for name, layer in look.decoder.items()}}


def _exposure(look: Inspection, main: Layer) -> dict[str, Any]:
    exposure = look.exposure
    assert exposure is not None
    names, share = names_of(look.plan), exposure.correction
    steps = [{"step": h + 1, "network": float(share[h]),
              "units": dict(zip(names, exposure.shares[h].tolist(), strict=True)),
              "output_gate": None if exposure.output_gate is None else float(exposure.output_gate[h])}
             for h in range(len(share))]
    return {"output_gate": None if main.expose is None else float(main.expose.mean()), "network": float(share.mean()),
            "least": steps[int(share.argmin())], "most": steps[int(share.argmax())],
            "units": dict(zip(names, exposure.shares.mean(axis=0).tolist(), strict=True)), "steps": steps}


def _attention(weights: Floats, look: Inspection, stamps: Callable[[int, int], dict[str, str]]) -> dict[str, Any]:
    size, steps = look.plan.segment, []
    for h, row in enumerate(weights):
        t = int(row.argmax())
        steps.append({"step": h + 1, "weight": float(row[t])}
                     | stamps(look.first + t * size, look.first + (t + 1) * size - 1)
                     | {"as_many_as": float(np.exp(-np.sum(row * np.log(np.maximum(row, 1e-300)))))})
    return {"steps": steps, "weights": weights}


def _influence(influence: Influence, look: Inspection, lags: int, length: Length) -> dict[str, Any]:
    season = look.plan.season

    def part(table: Floats) -> dict[str, Any]:
        shares, alike = influence.by_lag(table), influence.alike(table)
        return {"lags": [length(lag, 3) | {"share": share, "if_alike": even, "times": share / even if even else None}
                         for lag, share, even in influence.top(table, lags, season)],
                "half_within": length(influence.reach(table)),
                "cycles": None if season == 1 else [
                    length(k * season) | {"share": float(share), "if_alike": float(even)} for k, (share, even) in
                    enumerate(zip(by_cycle(shares, season), by_cycle(alike, season), strict=True))],
                "by_lag": shares, "by_lag_if_alike": alike, "by_point": influence.by_point(table).sum(axis=1),
                "mean_change": float(influence.by_point(table).mean())}

    whole, network = float(influence.whole.sum()), float(influence.network.sum())
    return {"back": [{"from": length(b.first, 3), "to": length(b.last, 3), "moves": b.moves,
                      "network": b.network if look.layers else None, "up_to": b.up_to} for b in influence.back()],
            "still": {name: length(influence.still(share), 3) for name, share in STILL.items()},
            "windows": influence.windows, "points_together": influence.size, "whole": part(influence.whole),
            "network": part(influence.network) | {"beside_whole": network / whole if whole > 0 else None}
            if look.layers else None}


def _layer(layer: Layer) -> dict[str, Any]:
    return {"half_life_points": layer.half_lives, "median_points": layer.quantile(0.5),
            "gates_by_step": {name: gate.mean(axis=1) for name, gate in layer.gates.items()},
            "gates_by_unit": {name: gate.mean(axis=0) for name, gate in layer.gates.items()},
            "disturbance": layer.disturbance}


# the same in words

def lines_of(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels and lines; every number in them stands in the document."""
    cell, context, influence = document["cell"], document["context"], document["influence"]
    yield "context", f"{context['words']}, {context['from']} .. {context['to']}"
    shares = sorted(document["shares"].items(), key=lambda item: -item[1])
    yield "serves", "  ".join(f"{name} {share:.0%}" for name, share in shares) + (
        f"   (below: {_which(document)} and its linear skip)" if len(shares) > 1 or document["networks"] > 1 else "")
    if document["used"]:
        yield from _lines_of_cell(document, cell)
    else:
        yield "cell", f"the {cell_name(cell['kind'])} is not used: others did better on held-out windows"
    whole = influence["whole"]
    if not whole["mean_change"]:
        yield "reads", "nothing: no past value moves the forecast"
        return
    yield "reads", (f"half of the influence on the forecast comes from the last {whole['half_within']['words']} "
                    f"(as measured on {counted(influence['windows'], 'window')})")
    still = [(name, influence["still"][name]["words"]) for name in STILL]
    (_, half), *less = [(name, back) for k, (name, back) in enumerate(still) if back not in dict(still[:k]).values()]
    yield "remembers", (f"a change {half} back still moves the forecast half as much as one at the point that counts "
                        f"most{''.join(f', {back} back a {name}' for name, back in less)}")
    if not whole["lags"]:
        yield "lags", "none stands out: what is read moves all steps of the forecast alike"
        return
    yield "lags", ", ".join(f"{lag['words']} (lag {lag['points']}) {lag['share']:.1%}" for lag in whole["lags"]) + \
        " of the influence"
    first = whole["lags"][0]
    if first["times"]:
        yield "", (f"what lies {first['words']} before a step counts {first['times']:.1f} times as much for it as if "
                   "each value moved all steps alike")
    if whole["cycles"] is not None:
        best = sorted(whole["cycles"], key=lambda cycle: -float(cycle["share"]))[:NAMED]
        yield "cycles", "of the influence, by the whole season that is nearest: " + ", ".join(
            f"{cycle['words'] + ' before' if cycle['points'] else 'the step itself'} {cycle['share']:.0%}"
            for cycle in best)


def back_table(document: dict[str, Any]) -> Table:
    """How far a change moves the forecast, by how long ago it is."""
    def span(row: dict[str, Any]) -> str:
        first, last = row["from"], row["to"]
        return str(last["points"]) if first == last else f"{first['points']} to {last['points']}"

    rows = [[f"{span(row)} back", row["to"]["words"], f"{row['moves']:.0%}",
             "-" if row["network"] is None else f"{row['network']:.0%}", f"{row['up_to']:.0%}"]
            for row in document["influence"]["back"]]
    return Table(["a change", "that is, up to", "moves the forecast", "the network", "all up to there"], rows)


def _which(document: dict[str, Any]) -> str:
    return "the network" if document["networks"] == 1 else f"that of {document['networks']} networks which weighs most,"


def _lines_of_cell(document: dict[str, Any], cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    stacked = f", the last of {cell['layers']} layers" if cell["layers"] > 1 else ""
    ways = ", forward (the other direction is in --json)" if cell["bidirectional"] else ""
    units, steps = counted(cell["units"], "unit"), counted(cell["steps"], "step")
    yield "cell", (f"{cell_name(cell['kind'])} of {units}{stacked}{ways}, {steps} of "
                   f"{cell['step']['words']}")
    memory, resets, gate = (document[k] for k in ("memory", "resets", "input_gate"))
    keeps, opens = ("update gate z", "1 - z") if cell["kind"] == "gru" else ("forget gate", "input gate")
    lives, kinds, fades = memory["half_life"], memory["units"], memory["disturbance"]
    if cell["steps"] < 2:
        yield "memory", "none: the cell takes a single step"
    else:
        middle, low, high, longest = (lives[name] for name in ("median", "quartile", "upper", "longest"))
        beyond = f" ({memory['beyond_context']} beyond the context, extrapolated)" if memory["beyond_context"] else ""
        yield "memory", (f"half-life of a unit, by {memory['by']}: median {middle['words']}, quartiles "
                         f"{low['words']} and {high['words']}, longest {longest['words']}{beyond}")
        names = list(kinds)
        yield "", (f"{kinds[names[0]]} {names[0]} (below {memory['short_below']['words']}), {kinds[names[1]]} "
                   f"{names[1]}, {kinds[names[2]]} {names[2]} (above {memory['long_above']['words']})")
        if fades["half_life"]["points"] == math.inf:
            yield "", (f"of a disturbance of the memory, {fades['at_the_end']:.0%} are left after "
                       f"{fades['followed']['words']}")
        else:
            yield "", f"half of a disturbance of the memory is gone after {fades['half_life']['words']}"
    if memory["slope"]:
        yield "forgets", (f"it has no gate; the slope of tanh is {memory['slope']['mean']:.2f}, and "
                          f"{memory['slope']['saturated']:.0%} of it is saturated")
    for moment in resets["moments"] if resets else []:
        yield "forgets", (f"{moment['from']} .. {moment['to']}: {keeps} {moment['gate']:.2f}, usually "
                          f"{resets['usual']:.2f}")
    if resets and not resets["moments"]:
        yield "forgets", f"no moment stands out: {keeps} {resets['usual']:.2f}"
    if gate:
        yield "lets in", f"{opens} {gate['mean']:.2f}; {_opened_by(gate['goes_with'])}"
    yield from _of_exposure(document, document["exposure"], cell)


def _of_exposure(document: dict[str, Any], exposure: dict[str, Any], cell: dict[str, Any]
                      ) -> Iterator[tuple[str, str]]:
    if writes := document["decoder"]:
        left = "" if writes["at_the_end"] is None else (f"; of a disturbance of what it was handed, "
                                                        f"{writes['at_the_end']:.0%} are left at the end")
        yield "writes", (f"a decoder, {counted(writes['steps'], 'step')} of {writes['step']['words']}; half-life of a "
                         f"unit: median {writes['half_life']['median']['words']}{left}")
    shown = f"output gate {exposure['output_gate']:.2f}; " if exposure["output_gate"] is not None else ""
    least, most = exposure["least"], exposure["most"]
    if least["network"] == 1:
        yield "exposes", f"{shown}the network makes all of the movement: there is no linear skip"
    else:
        yield "exposes", (f"{shown}the network makes {exposure['network']:.0%} of the movement, from "
                          f"{least['network']:.0%} (step {least['step']}) to {most['network']:.0%} "
                          f"(step {most['step']}); the rest is the linear skip's")
    if cell["steps"] > 1 or document["decoder"]:
        yield "", "carried by units of memory " + ", ".join(f"{n} {s:.0%}" for n, s in exposure["units"].items())
    for step in _ends(document["attention"]["steps"]) if document["attention"] else []:
        yield "attends", (f"step {step['step']} most to {step['from']} .. {step['to']} ({step['weight']:.0%}), "
                          f"spread as over {step['as_many_as']:.1f} steps")


def _ends(steps: list[Any]) -> list[Any]:
    return steps if len(steps) < 2 else [steps[0], steps[-1]]


def _opened_by(drivers: list[dict[str, Any]]) -> str:
    def named(driver: dict[str, Any]) -> str:
        period = f" in {driver['period']['words']}" if driver["period"] else ""
        return f"{driver['property']}{period} (r {driver['r']:+.2f}, chance up to {driver['chance']:.2f})"

    if not drivers:
        return "too few windows to tell what opens it"
    clear = [d for d in drivers if d["stands_out"]][:NAMED]
    if not clear:
        return f"nothing stands out that opens it; the nearest is {named(drivers[0])}"
    return "it goes with " + ", ".join(map(named, clear))


def _served(document: dict[str, Any]) -> str:
    """`lstm 52%, theta 30% and linear 18%`: who serves the series, the largest shares first."""
    shares = sorted(((share, name) for name, share in document["shares"].items() if share >= 0.005), reverse=True)
    words = [f"{name} {share:.0%}" for share, name in shares[:3]]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" + (
        " and others" if len(shares) > 3 else "")


def headline(document: dict[str, Any]) -> str:
    """What the picture shows, in two lines."""
    cell, whole = document["cell"], document["influence"]["whole"]
    lags = " and ".join(lag["words"] for lag in whole["lags"][:2])
    recent = f"half of what it reads is of the last {whole['half_within']['words']}"
    reads = f"{recent}; lags that stand out: {lags}" if lags else f"{recent}; no lag stands out"
    served = f"{document['series']}, forecast by {_served(document)}"
    if not document["used"]:
        return f"{served}; the {cell_name(cell['kind'])} is not used\n{reads}"
    memory, resets = document["memory"], document["resets"]
    moments = [m["from"] for m in resets["moments"]] if resets else []
    units, steps = counted(cell["units"], "unit"), counted(cell["steps"], "step")
    lets_go = f"; lets go at {', '.join(moments[:2])}{' and more' if len(moments) > 2 else ''}" if moments else ""
    keeps = f"forgets half in {memory['half_life']['median']['words']} (median unit)" if cell["steps"] > 1 else \
        "takes a single step"
    network = f"{cell_name(cell['kind'])} of {units}, {steps} of {cell['step']['words']}"
    return f"{served}: {network}\n{keeps}{lets_go}; {reads}"
