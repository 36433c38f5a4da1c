"""Synthesizers in model files: their settings, and what is learnt, which is checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from gpuvgm.columns import CategoricalColumn, NumericColumn, TableModel
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.laws import Laws
from gpuvgm.records import read_as
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.synthesis.bins import RARE, check_fits
from gpuvgm.synthesis.counts import Dependence, Network, Structure, TreeSettings, read_network
from gpuvgm.synthesis.keys import (
    IdentifierForm,
    levels_of_attributes,
    levels_of_keys,
    orders_of_file,
    rows_per_key,
)
from gpuvgm.synthesis.learning.row_model import DOCUMENTS, PARAMETERS, RowModel
from gpuvgm.synthesis.learning.settings import SynthesizerSettings
from gpuvgm.table import TableTransformer

Path_ = str | PathLike[str]


def read_model(
    transformer: TableTransformer, model: TableModel, path: Path_, programs: Sequence[Any] = ()
) -> tuple[dict[str, Any], RowModel]:
    """Parameters of a stored synthesizer, and what it has learnt, with the laws that are objects.

    Raises
    ------
    InputError
        For a model of CTGAN or TVAE, and for objects that are none of its laws.
    ModelFileError
        For parts that do not fit together.
    """
    settings = model.settings.get("synthesizer")
    if isinstance(settings, Mapping) and "with" in settings:
        kind = {"ctgan": "CTGAN", "tvae": "TVAE"}.get(settings["with"], "synthesizer")
        raise InputError(f"{fspath(path)}: holds a {kind}: load it with gpuvgm.integrations.ctgan.{kind}.load")
    try:
        if not isinstance(settings, Mapping) or {*settings} != {*PARAMETERS, *DOCUMENTS}:
            raise ValueError("its settings are not those of a synthesizer")
        rule = transformer._hold_out
        parameters = {name: settings[name] for name in PARAMETERS}
        parameters["hold_out"] = 0.0 if rule is None else rule.share
        row_model = _row_model(transformer, model, settings)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, *ARROW_PROBLEMS) as problem:
        raise ModelFileError(f"{fspath(path)}: its network is inconsistent ({problem}); write it again") from problem
    if programs:
        row_model = row_model.with_programs(programs)
        by_name = dict(zip(Laws.named(programs), programs, strict=True))
        parameters["laws"] = [by_name.get(law, law) for law in parameters["laws"]]
    return parameters, row_model


def _row_model(transformer: TableTransformer, model: TableModel, settings: Mapping[str, Any]) -> RowModel:
    """What is learnt, of its documents; raises ValueError and the like for what cannot be."""
    forms = {name: read_as(IdentifierForm, form, name) for name, form in settings["identifiers"].items()}
    attributes, orders = settings["attributes"], orders_of_file(settings["orders"], transformer.model_)
    laws = Laws.of_documents(settings["proven"], transformer.model_.by_name)
    SynthesizerSettings.check(settings["bins"], settings["safer"], settings["laws"])
    network = read_network(model.network)
    _check_network(transformer.model_, network, forms, attributes)
    trees = TreeSettings.of(safer=settings["safer"])
    network = replace(network, rows_per_key=rows_per_key(forms, attributes), settings=trees)
    return RowModel(transformer, network, forms, attributes, laws, orders)


def _check_network(
    model: TableModel, network: Network, forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str]
) -> None:
    """Raise ValueError for a network that does not fit the columns."""
    structure, columns = network.structure, model.by_name
    for bins in structure.bins:
        check_fits(columns, bins)
    for part in structure.parts:
        if part.name == RARE and not isinstance(columns[part.column], NumericColumn):
            raise ValueError(f'"{part.column}" has no numbers that are rare')
    _check_attributes(structure, forms, attributes)
    for name, form in forms.items():
        given = columns.get(form.given)
        if form.given and not (isinstance(given, CategoricalColumn) and len(given.categories) == len(form.weights)):
            raise ValueError(f'"{form.given}" has not the categories by which "{name}" has its patterns')
        if form.date and not form.may_hold(columns.get(form.date)):
            raise ValueError(f'"{form.date}" has not the dates that "{name}" holds')
        if form.curve and not isinstance(columns.get(form.curve.column), NumericColumn):
            raise ValueError(f'"{form.curve.column}" has no times with which "{name}" rises')
    bins_of_columns = {bins.name: bins for bins in structure.bins}
    keys = {name for name, form in forms.items() if form.key}
    for habit in structure.habits:
        habit.check(columns, bins_of_columns, keys)


def _check_attributes(structure: Structure, forms: Mapping[str, IdentifierForm], attributes: Any) -> None:
    """Raise ValueError where loaded attributes depend on columns that are none of their keys, or keys do not fit."""
    levels = levels_of_keys(forms)
    for form in forms.values():
        form.check(levels)
    if not isinstance(attributes, dict) or not {*attributes} <= {node.name for node in structure.nodes}:
        raise ValueError("its attributes are no columns of the network")
    dependence = Dependence(levels_of_attributes(forms, attributes))
    for node, trees in zip(structure.nodes, structure.trees, strict=True):
        keys = {structure.keys_asked[asked] for asked in trees.asked if asked in structure.keys_asked}
        if not keys <= {attributes.get(node.name)}:
            raise ValueError(f'"{node.name}" asks for keys that it is no attribute of')
    for bins, node in zip(structure.bins, structure.nodes, strict=True):
        parents = [*node.parents, *([] if bins.since is None else [bins.since])]
        if not all(dependence.allows(node.name, parent) for parent in parents):
            raise ValueError(f'"{node.name}" is not the same in all rows of a key')
