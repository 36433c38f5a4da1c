"""Fitted models as JSON documents, exact to the last bit, and the fingerprint taken from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from gpuvgm.codecs import Codec, FloatCodec, IntegerCodec
from gpuvgm.concentration import StickBreaking
from gpuvgm.config import EncodingRules
from gpuvgm.errors import InputError
from gpuvgm.grid import Floats, Frame
from gpuvgm.model import ColumnModel, FitRecord, MixtureModel, TableModel
from gpuvgm.posterior import Posterior

_CODECS: dict[str, type[Codec]] = {codec.name: codec for codec in (FloatCodec, IntegerCodec)}
_GAUSSIANS = tuple(part for part in Posterior.__dataclass_fields__ if part != "concentration")


def fingerprint(model: TableModel) -> str:
    """SHA-256 over everything that decides what an encoded row means.

    Two models with the same fingerprint can invert each other's files; time, source, start, counts and bounds of the
    fit do not take part.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    columns = [column_document(column) for column in model.columns]
    for document in columns:
        for part in ("fit", "minimum", "maximum"):
            del document[part]
        for part in ("centres", "counts", "active_counts"):
            (document["mixture"] or {}).pop(part, None)
    text = json.dumps(plain(columns), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any, where: str = "model") -> Any:
    """JSON-able form of a value; a float that JSON lacks becomes ``{"$float": "inf"}``.

    Raises
    ------
    InputError
        For what is no number, string, boolean, None, array, list or mapping; `where` says which value it is.
    """
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, float) and not np.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part, where) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part, f"{where}: {key}") for key, part in value.items()}
    raise InputError(f"{where}: a {type(value).__name__} cannot be stored in a model file")


def from_plain(document: dict[str, Any]) -> Any:
    """What `plain` wrote; for ``json.loads(..., object_hook=from_plain)``."""
    return float(document["$float"]) if document.keys() == {"$float"} else document


def column_document(column: ColumnModel) -> dict[str, Any]:
    """All of a column's parameters."""
    mixture = column.mixture
    return {
        "name": column.name,
        "kind": column.kind,
        "codec": {"name": column.codec.name, **asdict(column.codec)},  # type: ignore[call-overload]
        "rules": asdict(column.rules),
        "mixture": mixture
        and {
            "frame": asdict(mixture.frame),
            "posterior": _posterior_document(mixture.posterior),
            "centres": mixture.centres,
            "counts": mixture.counts,
            "active": mixture.active,
            "active_counts": mixture.active_counts,
        },
        "modal_values": column.modal_values,
        "order": column.order,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "fit": asdict(column.fit),
    }


def _posterior_document(posterior: Posterior) -> dict[str, Any]:
    assert isinstance(posterior.concentration, StickBreaking)  # tables are fitted with no other prior
    return {
        "sticks": posterior.concentration.sticks,
        **{part: getattr(posterior, part) for part in _GAUSSIANS},
    }


def column_of(document: dict[str, Any]) -> ColumnModel:
    """Column from its document.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where the document is not one that `column_document` wrote.
    """
    codec = dict(document["codec"])
    column = ColumnModel(
        name=str(document["name"]),
        kind=str(document["kind"]),
        codec=_CODECS[codec.pop("name")](**codec),
        rules=EncodingRules(**document["rules"]),
        mixture=_mixture(document["mixture"]) if document["mixture"] is not None else None,
        modal_values=tuple(document["modal_values"]),
        order=tuple(int(cell) for cell in document["order"]),
        minimum=document["minimum"],
        maximum=document["maximum"],
        fit=FitRecord(**document["fit"]),
    )
    if sorted(column.order) != list(range(len(column.modal_values) + len(column.active_components))):
        raise ValueError("the order does not fit the cells")
    return column


def _mixture(document: dict[str, Any]) -> MixtureModel:
    parameters = {part: _floats(document["posterior"][part]) for part in ("sticks", *_GAUSSIANS)}
    sticks = parameters.pop("sticks")
    posterior = Posterior(StickBreaking(sticks), **parameters)
    mixture = MixtureModel(
        frame=Frame(float(document["frame"]["scale"]), float(document["frame"]["centre"])),
        posterior=posterior,
        centres=_floats(document["centres"]),
        counts=_floats(document["counts"]),
        active=np.array(document["active"], np.bool_),
        active_counts=_floats(document["active_counts"]),
    )
    k = len(posterior.means)
    vectors = [*parameters.values(), mixture.centres, mixture.counts, mixture.active]
    if sticks.shape != (2, k) or any(vector.shape != (k,) for vector in vectors):
        raise ValueError("the components' parameters differ in length")
    if mixture.active_counts.shape != (int(np.count_nonzero(mixture.active)),):
        raise ValueError("the active components differ in number")
    return mixture


def _floats(values: list[Any]) -> Floats:
    return np.array(values, np.float64)
