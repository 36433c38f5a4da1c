"""Kinds of columns, and keys of tables, from the metadata of SDV; SDV itself is not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from gpuvgm.errors import InputError, listed

#: An option of numbers alone: no category and no identifier, while modal values and the scale are still inferred.
ONLY_NUMBERS = {"standardize": "auto"}
SDTYPES: dict[str, Any] = {  # None: the kind is inferred
    "numerical": ONLY_NUMBERS,
    "datetime": None,
    "categorical": "categorical",
    "ordinal": "categorical",
    "boolean": "categorical",
    "id": "id",
    "unknown": "pass",
}
NO_METADATA = "metadata: no columns are described: give SDV's Metadata, its to_dict(), or the file of its save_to_json"


def read_kinds(metadata: Any, table: str | None = None) -> dict[str, Any]:
    """Read kinds of columns from the metadata of SDV 1 or 2, for the argument `columns`.

    Columns of sdtype "numerical" are numbers, whose modal values and scale are inferred; those of sdtype "categorical",
    "ordinal" and "boolean" are categorical. Those of sdtype "id" and a primary or alternate key of one column are
    identifiers. Those of sdtype "unknown" and personal ones, such as "email", are not modelled and not stored. Kinds of
    all others are inferred: dates, and what the metadata says is not personal (``"pii": False``).

    Parameters
    ----------
    metadata : sdv.metadata.Metadata, dict or path
        The metadata, what its `to_dict` gives, or the JSON file that `save_to_json` writes; `SingleTableMetadata` of
        SDV 1, too.
    table : str, optional
        Name of the table, where the metadata has several.

    Returns
    -------
    dict
        A kind, or a dict of options, for each column whose kind the metadata decides.

    Raises
    ------
    InputError
        For what is no metadata, and for a table that is not there or not named.

    Examples
    --------
    >>> from gpuvgm.integrations.sdv import read_kinds
    >>> columns = {"customer": {"sdtype": "id"}, "city": {"sdtype": "categorical"}, "email": {"sdtype": "email"}}
    >>> read_kinds({"columns": columns, "primary_key": "customer"})
    {'customer': 'id', 'city': 'categorical', 'email': 'pass'}
    """
    described = _described_table(_metadata_document(metadata), table)
    keys = [described.get("primary_key"), *(described.get("alternate_keys") or [])]
    kinds = {str(name): "id" if name in keys else _kind_of(name, entry) for name, entry in described["columns"].items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def read_keys(metadata: Any) -> dict[str, str]:
    """Read relationships between tables from the metadata of SDV, for `keys` of `DatabaseSynthesizer.fit`.

    Parameters
    ----------
    metadata : sdv.metadata.Metadata, dict or path
        As for `read_kinds`.

    Returns
    -------
    dict of str to str
        By column that refers, the key that it refers to; empty where there are none.

    Raises
    ------
    InputError
        For what is no metadata.

    Examples
    --------
    >>> from gpuvgm.integrations.sdv import read_keys
    >>> sides = {"parent_table_name": "customers", "parent_primary_key": "id"}
    >>> sides |= {"child_table_name": "orders", "child_foreign_key": "customer"}
    >>> read_keys({"tables": {}, "relationships": [sides]})
    {'orders.customer': 'customers.id'}
    """
    document = _metadata_document(metadata)
    sides = ("child_table_name", "child_foreign_key", "parent_table_name", "parent_primary_key")
    try:
        read = [[relationship[side] for side in sides] for relationship in document.get("relationships", [])]
    except (AttributeError, TypeError, LookupError) as error:
        raise InputError(NO_METADATA) from error
    return {f"{child}.{_column(column)}": f"{parent}.{_column(key)}" for child, column, parent, key in read}


def _column(name: Any) -> str:
    """A column of a reference, or several."""
    return str(name) if isinstance(name, str) else f"({', '.join(map(str, name))})"


def _metadata_document(metadata: Any) -> Any:
    """Metadata as SDV writes it."""
    if isinstance(metadata, (str, PathLike)):
        try:
            return json.loads(Path(metadata).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{metadata}: {error}: give the JSON file that SDV's save_to_json wrote") from error
    return metadata.to_dict() if hasattr(metadata, "to_dict") else metadata


def _described_table(document: Any, name: str | None) -> Mapping[str, Any]:
    """The entry of one table."""
    tables = document.get("tables", {name: document}) if isinstance(document, Mapping) else None
    if not isinstance(tables, Mapping) or not tables:
        raise InputError(NO_METADATA)
    if name is None and len(tables) > 1:
        raise InputError(f"metadata: describes several tables: say which one with table=; tables: {listed(tables)}")
    described = tables.get([*tables][0] if name is None else name)
    if described is None:
        raise InputError(f'metadata: no table "{name}"; tables: {listed(tables)}')
    if not isinstance(described, Mapping) or not isinstance(described.get("columns"), Mapping):
        raise InputError(NO_METADATA)
    return described


def _kind_of(name: str, entry: Any) -> Any:
    """Kind of a column by its entry in the metadata; None: it is inferred."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("sdtype"), str):
        raise InputError(f'metadata: column "{name}" has no sdtype: give it one, or leave the column out')
    return SDTYPES.get(entry["sdtype"], "pass" if entry.get("pii", True) else None)
