"""The model folder: save, load, verify. Text you can read with cat, weights without pickle, written once.

manifest.json is written last and names every other file with its size and SHA-256: a folder without it, or with a
file that does not match it, is not a model. No name found in a folder is ever imported or called."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from forecast.config import Config
from forecast.errors import ForecastError, ModelError
from forecast.model.blending import Blend
from forecast.model.cells import CELLS
from forecast.model.channels import CHANNELS
from forecast.model.dependence import Dependence
from forecast.model.knowledge import Knowledge
from forecast.model.member import LINEAR, NETWORK, Member, part, shape_of
from forecast.model.network import HEADS, Network, Shape
from forecast.model.plan import Plan
from forecast.model.predictor import EXPERTS, Predictor
from forecast.model.prior import Prior, Tuned
from forecast.reading.contract import Contract
from forecast.series.covariate_units import CovariateUnits
from forecast.series.units import TRANSFORMS, Units
from forecast.store.record import RunRecord
from forecast.system.files import new_folder, sha256, to_json, write_bytes, write_text

FORMAT = 7
READABLE = (4, 5, 6, FORMAT)                            # 4: members of one shape; 5: no prior; 6: no covariates
WITH_PRIOR = 6                                                          # the first format that had one
BEFORE = {"head": "flat", "embedding": False, "tune_skip": False}       # settings that 4 and 5 did not know, as it was
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
VALIDATED = "validated.safetensors"                                     # of the networks before their final fit
PRIOR = "prior.safetensors"                                             # the one that the run was made with
FILES = ("config.json", "contract.json", "series.json", "calibration.json", "metrics.json", "run.json", "history.csv",
         WEIGHTS, VALIDATED, PRIOR)
MOST_TEXT = 256 * 2**20                                                 # bytes of a JSON file, far above any real one


@dataclass(frozen=True)
class Run:
    """A model folder read back: the predictor, what its data looked like, and the record of its making."""

    id: str
    folder: Path
    predictor: Predictor
    contract: Contract
    record: RunRecord
    metrics: dict[str, Any]


def save(folder: Path, predictor: Predictor, contract: Contract, *, record: RunRecord, metrics: dict[str, Any],
         history: str) -> None:
    """Write the folder, whole or not at all. Raises DiskError, and ModelError for weights that are not finite."""
    texts = {"config.json": _config_of(predictor), "contract.json": contract.to_dict(),
             "series.json": {"ids": list(predictor.knowledge.ends), "end": list(predictor.knowledge.ends.values()),
                             "taught": predictor.validated_knowledge.ends,
                             "scales": {m.units.transform: _scales(m.units) for m in predictor.members},
                             "covariates": {m.units.transform: m.units.covariates.to_dict()
                                            for m in predictor.members if m.units.covariates}},
             "calibration.json": {"quantiles": list(predictor.quantiles), "widths": predictor.widths.tolist(),
                                  "mean_factor": predictor.mean_factor, "usual_step": predictor.usual_step,
                                  "dependence": predictor.dependence.to_dict(),
                                  "blend": asdict(predictor.blend),
                                  "without": predictor.without and asdict(predictor.without)},
             "metrics.json": metrics, "run.json": record.to_dict()}
    if not all(m.network.is_finite for m in predictor.members):
        raise ModelError("the fit ended in weights that are not finite; nothing was saved", code="not_finite",
                         hint="Lower the learning rate: --set train.lr=0.0005")
    with new_folder(folder) as partial:
        for name, content in texts.items():
            write_text(partial / name, to_json(content))
        write_text(partial / "history.csv", history)
        write_bytes(partial / WEIGHTS, _tensors(m.network for m in predictor.members))
        write_bytes(partial / VALIDATED, _tensors(predictor.validated_networks))
        write_bytes(partial / PRIOR, _priors_of(predictor))
        manifest = {name: {"size": (partial / name).stat().st_size, "sha256": sha256(partial / name)}
                    for name in FILES}
        write_text(partial / MANIFEST, to_json({"format": FORMAT, "files": manifest}))


def _tensors(networks: Iterable[Network]) -> bytes:
    return safetensors.numpy.save({f"{k}.{name}": np.ascontiguousarray(t) for k, network in enumerate(networks)
                                   for name, t in network.tensors.items()})


def load(folder: Path, *, validated: bool = False) -> Run:
    """Read a folder back after checking every byte of it. validated: with the networks as they were before the final
    fit. Raises ModelError naming the file that is wrong."""
    files = verify(folder)
    config_json, series, calibration = (_json(folder / f"{name}.json") for name in ("config", "series", "calibration"))
    try:
        settings: dict[str, dict[str, Any]] = config_json["config"]
        config = Config.from_dict({**settings, "model": BEFORE | settings["model"]})
        sizes: dict[str, Any] = config_json["plan"]
        plan = Plan(**sizes | {"seasons": tuple(sizes["seasons"])})
        entries = config_json["members"]
        shapes = [_shape(entry, config, plan) for entry in entries]
        networks = _networks(folder / WEIGHTS, shapes)
        predictor = Predictor(
            config=config, plan=plan,
            members=tuple(_member(network, config, plan, series, **entry)
                          for network, entry in zip(networks, entries, strict=True)),
            widths=np.asarray(calibration["widths"], dtype=np.float64),
            knowledge=Knowledge(dict(zip(series["ids"], series["end"], strict=True))),
            validated_knowledge=Knowledge(series["taught"]),
            validated_networks=tuple(_networks(folder / VALIDATED, shapes)) if validated else (),
            mean_factor=_share(calibration.get("mean_factor", 1.0)),
            usual_step=_share(calibration.get("usual_step", 0.0)),
            dependence=_dependence(calibration.get("dependence"), plan.horizon),
            blend=_blend(len(entries), **calibration["blend"]),
            without=_blend(len(entries), **calibration["without"]) if calibration.get("without") else None,
            **(_priors(folder / PRIOR, config_json.get("tuned"), validated=validated) if PRIOR in files else {}))
        _check(predictor)
        record = _record(_json(folder / "run.json"))
        contract = Contract.from_dict(_json(folder / "contract.json"))
    except ModelError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, ForecastError) as error:
        said = error if isinstance(error, ForecastError) else repr(error)
        raise ModelError(f"does not describe a model: {said}", file=str(folder), code="model_corrupt",
                         hint="Train again, or name another model with --model") from error
    metrics = _json(folder / "metrics.json")
    return Run(folder.resolve().name, folder, predictor, contract, record, metrics)


def verify(folder: Path) -> Sequence[str]:
    """Compare every file with the manifest; their names. Raises ModelError naming the first that is missing or
    changed."""
    if not folder.is_dir():
        raise ModelError("is not a model folder", file=str(folder), code="no_model")
    content = _json(folder / MANIFEST)
    if content.get("format") not in READABLE:
        raise ModelError(f"was written in format {content.get('format')}, this program reads "
                         f"{', '.join(map(str, READABLE[:-1]))} and {FORMAT}",
                         file=str(folder / MANIFEST), code="model_format", hint="Train again")
    manifest = content.get("files")
    files = FILES if content["format"] >= WITH_PRIOR else [name for name in FILES if name != PRIOR]
    if not isinstance(manifest, dict) or set(manifest) != set(files):
        raise ModelError("does not name the files of a model", file=str(folder / MANIFEST), code="model_corrupt")
    for name in files:
        path = folder / name
        _require_file(path)
        try:
            as_it_is = {"size": path.stat().st_size, "sha256": sha256(path)}
        except OSError as error:
            raise ModelError("cannot be read", file=str(path), code="model_corrupt", hint="Train again") from error
        if as_it_is != manifest[name]:
            raise ModelError("differs from its checksum in manifest.json", file=str(path), code="model_corrupt",
                             hint="Train again, or put the file back as it was")
    return files


def _require_file(path: Path) -> None:
    """Raises ModelError for anything but a plain file: a link may lead anywhere, and a device may never end."""
    if path.is_symlink() or not path.is_file():
        raise ModelError("is missing", file=str(path), code="model_corrupt", hint="Train again")


def _config_of(predictor: Predictor) -> dict[str, Any]:
    """Everything to rebuild the predictor by, but for weights and series."""
    members = [{"transform": m.units.transform, "skip": m.skip, "seed": m.seed, "penalty": m.penalty, "steps": m.steps,
                "schedule": m.schedule, "rate": m.rate_factor, "diverged": m.diverged, "shape": asdict(m.shape)}
               for m in predictor.members]
    tuned = predictor.tuned and {key: getattr(predictor.tuned, key) for key in ("steps", "schedule", "share")}
    return {"config": predictor.config.to_dict(), "plan": asdict(predictor.plan), "members": members, "tuned": tuned}


def _scales(units: Units) -> dict[str, list[float]]:
    """loc and scale of each series; empty lists where each window has its own."""
    return {"loc": units.loc.tolist(), "scale": units.scale.tolist()}


def _shape(entry: dict[str, Any], config: Config, plan: Plan) -> Shape:
    """Of the network of a member. Raises ValueError or TypeError for one that the plan cannot have."""
    usual = shape_of(config, plan)
    sizes: dict[str, Any] = entry.pop("shape", None) or asdict(usual)
    shape = Shape(**sizes | {"quantiles": tuple(sizes["quantiles"])})
    lengths = shape.context, shape.segment, shape.hidden, shape.layers
    if any(type(n) is not int or n < 1 for n in lengths) or shape.context % shape.segment or shape.cell not in CELLS:
        raise ValueError(f"a network of {lengths}")
    if (shape.horizon, shape.quantiles) != (usual.horizon, usual.quantiles):
        raise ValueError("a network of another horizon or other quantiles than the plan's")
    if {type(flag) for flag in (shape.bidirectional, shape.attention, shape.embedding, shape.tuned)} != {bool}:
        raise ValueError(f"a network {shape}")
    if any(type(n) is not int or n < 0 for n in (shape.before, shape.known, shape.around, shape.static)):
        raise ValueError(f"a network {shape}")
    if shape.head not in HEADS or type(shape.channels) is not int or not 1 <= shape.channels <= len(CHANNELS):
        raise ValueError(f"a network {shape}")
    return shape


def _member(network: Network, config: Config, plan: Plan, series: dict[str, Any], *, transform: str,
            penalty: float | None, rate: float, **rest: Any) -> Member:
    """One member read back. Raises ValueError, TypeError or KeyError for what cannot be one."""
    scaling, scales = config.model.scaling, series["scales"][transform]
    loc, scale = (np.asarray(scales[name], dtype=np.float64) for name in ("loc", "scale"))
    places = {} if scaling == "window" else {i: k for k, i in enumerate(series["ids"])}
    if transform not in TRANSFORMS or loc.shape != (len(places),) or scale.shape != (len(places),):
        raise ValueError("scales of other series")
    covariates = CovariateUnits.from_dict(series["covariates"][transform], plan.lags) if network.shape.around else None
    sizes = (network.shape.before, network.shape.known, network.shape.around, network.shape.static)
    if covariates and covariates.sizes != sizes:
        raise ValueError("covariates of another network")
    member = Member(network, Units(transform, scaling, plan.season, places, loc, scale, covariates),
                    penalty=math.inf if penalty is None else float(penalty), rate_factor=float(rate), **rest)
    counts = member.seed, member.steps, member.schedule
    if any(type(n) is not int or n < 0 for n in counts) or type(member.skip) is not bool:
        raise ValueError(f"a member of {member.steps!r} steps")
    return member


def _json(path: Path) -> dict[str, Any]:
    _require_file(path)
    try:
        if path.stat().st_size > MOST_TEXT:
            raise ModelError("is far too large", file=str(path), code="model_corrupt")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError("cannot be read", file=str(path), code="model_corrupt", hint="Train again") from error
    except (ValueError, RecursionError) as error:
        raise ModelError("is not JSON", file=str(path), code="model_corrupt", hint="Train again") from error
    if not isinstance(content, dict):
        raise ModelError("is not a JSON object", file=str(path), code="model_corrupt", hint="Train again")
    return content


def _check(predictor: Predictor) -> None:
    """Sizes that are sizes, and fit each other. Raises ValueError, TypeError or KeyError for others."""
    plan = predictor.plan
    lengths = plan.horizon, plan.context, plan.segment, plan.min_context, plan.validation
    for size in (*lengths, plan.hidden, *plan.seasons):
        if type(size) is not int or size < 1:
            raise ValueError(f"{size!r} is no size")
    if not plan.seasons or plan.context % plan.segment or plan.min_context > plan.context:
        raise ValueError("sizes that do not fit each other")
    if any(type(i) is not str or type(end) is not int for known in (predictor.knowledge, predictor.validated_knowledge)
           for i, end in known.ends.items()):
        raise ValueError("series without a name or an end")
    widths = predictor.widths
    if widths.shape != (plan.horizon, len(predictor.quantiles)) or not (np.isfinite(widths) & (widths >= 0)).all():
        raise ValueError("calibration of another model")


def _record(content: dict[str, Any]) -> RunRecord:
    """Raises ValueError, TypeError, KeyError or AttributeError for one that does not say what predict needs."""
    if not isinstance(content["created"], str) or not content["data"].keys() >= {"path", "from_store"}:
        raise ValueError("a record that says nothing of its data")
    return RunRecord.from_dict(content)


def _share(value: Any) -> float:
    """A finite number of 0 or more. Raises ValueError or TypeError for another."""
    if not 0 <= (number := float(value)) < math.inf:
        raise ValueError(f"{value!r} is no share")
    return number


def _dependence(fields: dict[str, Any] | None, horizon: int) -> Dependence:
    """Read back; a run of before it was kept has the usual one. Raises ValueError, TypeError or KeyError for none."""
    return Dependence.usual() if fields is None else Dependence.from_dict(fields, horizon)


def _blend(members: int, names: list[str], pooled: list[float], errors: list[float], own: dict[str, list[float]]
           ) -> Blend:
    """Weights read back. Raises ValueError or TypeError for what cannot be some."""
    blend = Blend(tuple(names), tuple(map(float, pooled)), tuple(map(float, errors)),
                  {str(i): tuple(map(float, w)) for i, w in own.items()})
    rows = [blend.pooled, *blend.own.values()]
    known = {part(kind, k) for kind in (NETWORK, LINEAR) for k in range(members)}
    if not set(names) <= known | set(EXPERTS) or any(len(w) != len(names) for w in rows):
        raise ValueError("weights of unknown forecasters")
    if not np.allclose(np.array(rows).sum(axis=1), 1) or np.min(rows) < 0:
        raise ValueError("weights that are no shares")
    return blend


def _priors_of(predictor: Predictor) -> bytes:
    """The prior that came with the program, the one tuned on the data, and that before its final fit."""
    priors = {"prior": predictor.prior, "tuned": predictor.tuned and predictor.tuned.prior,
              "validated": predictor.validated_prior}
    return safetensors.numpy.save({f"{kind}.{name}": np.ascontiguousarray(t) for kind, prior in priors.items() if prior
                                   for name, t in prior.tensors.items()})


def _priors(path: Path, tuned: dict[str, float] | None, *, validated: bool) -> dict[str, Any]:
    """What `_priors_of` wrote, as fields of a predictor. Raises ModelError."""
    try:
        tensors = safetensors.numpy.load(path.read_bytes())
        kinds = {kind: Prior.of({name.removeprefix(kind + "."): t for name, t in tensors.items()
                                 if name.startswith(kind + ".")}) for kind in {n.partition(".")[0] for n in tensors}}
        found: dict[str, Any] = {"prior": kinds.get("prior")}
        if tuned is not None:
            found["tuned"] = Tuned(kinds["tuned"], int(tuned["steps"]), int(tuned["schedule"]),
                                   float(tuned.get("share", 1)))        # a run of before had both in its blend
        if validated:
            found["validated_prior"] = kinds.get("validated")
        return found
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise ModelError("holds no prior that fits its config.json", file=str(path), code="model_corrupt",
                         hint="Train again") from error


def _networks(path: Path, shapes: Sequence[Shape]) -> list[Network]:
    """Each member's weights, from the file. Raises ModelError where they do not fit, or are not finite numbers."""
    try:
        tensors = safetensors.numpy.load(path.read_bytes())
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise ModelError("is not a file of weights", file=str(path), code="model_corrupt",
                         hint="Train again") from error
    sizes = {f"{k}.{name}": size for k, shape in enumerate(shapes) for name, size in shape.tensors.items()}
    if not shapes or {n: t.shape for n, t in tensors.items()} != sizes or any(
            t.dtype != np.float32 for t in tensors.values()):
        raise ModelError("does not fit its config.json", file=str(path), code="model_corrupt", hint="Train again")
    networks = [Network(shape, {name: tensors[f"{k}.{name}"] for name in shape.tensors})
                for k, shape in enumerate(shapes)]
    if not all(network.is_finite for network in networks):
        raise ModelError("holds values that are not finite", file=str(path), code="model_corrupt", hint="Train again")
    return networks
