"""Fitted models as JSON documents, exact to the last bit, and the fingerprint taken from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from gpuvgm.columns.codecs import codec_document, codec_of
from gpuvgm.columns.model import (
    CategoricalColumn,
    ColumnModel,
    FitRecord,
    GeneralColumn,
    MixtureColumn,
    MixtureModel,
    PassedColumn,
    TableModel,
)
from gpuvgm.config import EncodingRules
from gpuvgm.io.plain_json import plain
from gpuvgm.mixture.posterior import Posterior, StickBreaking
from gpuvgm.summary.grid import Floats, Frame
from gpuvgm.table.model_checks import check_column

#: Parts of a column's document that do not decide what an encoded row means.
_NO_MEANING = {
    "continuous": ("fit", "minimum", "maximum", "modal_counts"),
    "mixed": ("fit", "minimum", "maximum", "modal_counts"),
    "categorical": ("fit", "counts", "first_rows", "declared", "dictionary"),
    "general": ("fit",),
    "pass": ("fit", "type"),
}
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
        for part in _NO_MEANING[document["kind"]]:
            del document[part]
        for part in ("centres", "counts", "active_counts"):
            (document.get("mixture") or {}).pop(part, None)
        document.get("rules", {}).pop("precision", None)  # the inverse is the same
    text = json.dumps(plain(columns), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def document_digest(model: TableModel) -> str:
    """SHA-256 over every parameter of every column: also over those that only some runs depend on."""
    text = json.dumps(plain([column_document(column) for column in model.columns]), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def column_document(column: ColumnModel) -> dict[str, Any]:
    """All of a column's parameters."""
    if isinstance(column, MixtureColumn):
        return _mixture_column_document(column)
    document = {"kind": column.kind, **{part: getattr(column, part) for part in column.__dataclass_fields__}}
    if isinstance(column, GeneralColumn):
        document["codec"] = codec_document(column.codec)
    return {**document, "fit": asdict(column.fit)}


def _mixture_column_document(column: MixtureColumn) -> dict[str, Any]:
    mixture = column.mixture
    return {
        "name": column.name,
        "kind": column.kind,
        "codec": codec_document(column.codec),
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
        "modal_counts": column.modal_counts,
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
    ValueError
        Where the document is not one that `column_document` wrote.
    """
    check_column(document, "a column")
    return _READERS[document["kind"]](document)


def _mixture_column(document: dict[str, Any]) -> MixtureColumn:
    modal = tuple(document["modal_values"])
    counts = document.get("modal_counts", [document["fit"]["missing"]] * len(modal))  # formats 1 and 2 knew no others
    column = MixtureColumn(
        name=str(document["name"]),
        kind=str(document["kind"]),
        codec=codec_of(document["codec"]),
        rules=EncodingRules(**document["rules"]),
        mixture=_mixture(document["mixture"]) if document["mixture"] is not None else None,
        modal_values=modal,
        modal_counts=tuple(int(count) for count in counts),
        order=tuple(int(cell) for cell in document["order"]),
        minimum=document["minimum"],
        maximum=document["maximum"],
        fit=FitRecord(**document["fit"]),
    )
    if sorted(column.order) != list(range(len(modal) + len(column.active_components))) or len(counts) != len(modal):
        raise ValueError("the order does not fit the cells")
    return column


def _categorical_column(document: dict[str, Any]) -> CategoricalColumn:
    lists = {part: tuple(document[part]) for part in ("levels", "counts", "first_rows")}
    if len({len(part) for part in lists.values()}) > 1 or len(set(lists["levels"])) < len(lists["levels"]):
        raise ValueError("the levels do not fit their counts")
    entries = document["dictionary"]
    return CategoricalColumn(
        name=str(document["name"]),
        type=str(document["type"]),
        **lists,
        unknown=document["unknown"],
        dictionary=None if entries is None else tuple(entries),
        declared=bool(document["declared"]),
        fit=FitRecord(**document["fit"]),
    )


def _general_column(document: dict[str, Any]) -> GeneralColumn:
    return GeneralColumn(
        name=str(document["name"]),
        codec=codec_of(document["codec"]),
        minimum=document["minimum"],
        maximum=document["maximum"],
        margin=float(document["margin"]),
        clip=bool(document["clip"]),
        fit=FitRecord(**document["fit"]),
    )


def _passed_column(document: dict[str, Any]) -> PassedColumn:
    return PassedColumn(str(document["name"]), str(document["type"]), FitRecord(**document["fit"]))


_READERS: dict[str, Callable[[dict[str, Any]], ColumnModel]] = {
    "continuous": _mixture_column,
    "mixed": _mixture_column,
    "categorical": _categorical_column,
    "general": _general_column,
    "pass": _passed_column,
}


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
    vectors = [*parameters.values(), mixture.counts, mixture.active]  # of few rows a search may have had fewer centres
    if sticks.shape != (2, k) or any(vector.shape != (k,) for vector in vectors):
        raise ValueError("the components' parameters differ in length")
    if mixture.active_counts.shape != (int(np.count_nonzero(mixture.active)),):
        raise ValueError("the active components differ in number")
    return mixture


def _floats(values: list[Any]) -> Floats:
    return np.array(values, np.float64)
