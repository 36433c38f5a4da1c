"""Arrow's types and values: sizes of rows, exact casts, joins, and plain values."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.shortage import ARROW_PROBLEMS

VALIDITY_BYTES = 1 / 8  # a bit of every value
TEXT_BYTES = 32.0  # of a text or another value without a fixed width: a guess
CSV_FORM = "gpuvgm.csv"  # key of metadata: how a CSV file is written
_PANDAS = "pandas"  # key of metadata, whose values the developer guide of pandas explains
_NULLABLE = re.compile(r"U?Int\d+|Float\d+|boolean|string(\[\w+\])?|\w+(\[[^\]]+\])?\[pyarrow\]")  # dtypes


def dtypes_of_pandas(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Nullable dtypes by column, as pandas wrote them into the metadata of a schema; none where it did not."""
    try:
        columns = json.loads((metadata or {})[_PANDAS.encode()])["columns"]
        dtypes = {column["field_name"]: column["numpy_type"] for column in columns}
        return {name: dtype for name, dtype in dtypes.items() if _NULLABLE.fullmatch(dtype)}
    except (ValueError, KeyError, TypeError):  # whatever others write there: the rows are read all the same
        return {}


def metadata_of_values(dtypes: Mapping[str, object], schema: pa.Schema, source: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of files of values: nullable dtypes, with which pandas shall read columns, and the form of CSV.

    Parameters
    ----------
    dtypes : mapping of str to dtype
        Dtypes of columns in pandas.
    schema : pyarrow.Schema
        Columns of the files.
    source : mapping
        Fingerprint of what was fitted, which holds the form of a CSV file.
    """
    nullable = {name: str(dtypes[name]) for name in schema.names if _NULLABLE.fullmatch(str(dtypes.get(name)))}
    columns = [
        {"name": name, "field_name": name, "pandas_type": "", "numpy_type": dtype, "metadata": None}
        for name, dtype in nullable.items()
    ]
    for_pandas = {_PANDAS: json.dumps({"index_columns": [], "columns": columns})} if columns else {}
    return for_pandas | ({CSV_FORM: json.dumps(source["csv"])} if "csv" in source else {})


def is_text_type(type_: pa.DataType) -> bool:
    """Return whether values of the type are text."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def is_datetime_type(type_: pa.DataType) -> bool:
    """Return whether values of the type are points in time, times of day or durations."""
    of_a_day = pa.types.is_date(type_) or pa.types.is_time(type_)
    return bool(of_a_day or pa.types.is_timestamp(type_) or pa.types.is_duration(type_))


def is_moment_type(type_: pa.DataType) -> bool:
    """Return whether values of the type are points in time, whose zero is an ordinary day."""
    return bool(pa.types.is_timestamp(type_) or pa.types.is_date(type_))


def is_number_type(type_: pa.DataType) -> bool:
    """Return whether a continuous, mixed or general column can hold the type: numbers, datetimes, or no values."""
    decimal = pa.types.is_decimal(type_) and not pa.types.is_decimal256(type_)
    return bool(is_plain_number_type(type_) or decimal or is_datetime_type(type_) or pa.types.is_null(type_))


def is_plain_number_type(type_: pa.DataType) -> bool:
    """Return whether values of the type are integers or floating-point numbers."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def row_bytes(schema: pa.Schema) -> float:
    """Bytes of a row in Arrow arrays; a guess for values without a fixed width."""
    return float(sum(_value_bytes(field.type) for field in schema))


def _value_bytes(type_: pa.DataType) -> float:
    if pa.types.is_dictionary(type_):
        return _value_bytes(type_.index_type)
    try:
        return type_.bit_width / 8 + VALIDITY_BYTES
    except ValueError:
        return TEXT_BYTES


def with_wide_indices(schema: pa.Schema) -> pa.Schema:
    """Schema for several parts of a table: dictionary indices are wide enough for any number of entries.

    Separate writers may index the entries of one part with 8 bits, and those of the next with 16.
    """
    fields = [field.with_type(with_wide_index(field.type)) for field in schema]
    return pa.schema(fields).with_metadata(schema.metadata)


def with_wide_index(type_: Any) -> Any:
    """A dictionary's type with indices wide enough for any number of entries; other types as they are."""
    return pa.dictionary(pa.int32(), type_.value_type, type_.ordered) if pa.types.is_dictionary(type_) else type_


_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}  # of an integer, by its bits; unsigned ones of 64 bits have 20
_EXACT_BITS = {16: 11, 32: 24, 64: 53}  # of the integers that a float holds, by its bits


def common_type(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """The type that Arrow promotes all types to, if it holds their values; None if it does not.

    A dictionary beside values becomes values. Finer units of time hold fewer years: values beyond are for the cast to
    refuse.

    Parameters
    ----------
    types : sequence of pyarrow.DataType
        At least one, in any order.
    """
    distinct = sorted({type_ for type_ in types if not is_valueless(type_)}, key=str) or [types[0]]
    if not all(map(pa.types.is_dictionary, distinct)):
        distinct = [_taken_type(type_.value_type) if pa.types.is_dictionary(type_) else type_ for type_ in distinct]
    if len(set(distinct)) > 1:
        distinct = [_taken_type(type_) for type_ in distinct]
    schemas = [pa.schema([("", type_)]) for type_ in distinct]
    try:
        result = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except ARROW_PROBLEMS:
        return None
    return result if all(_holds(result, type_) for type_ in distinct) else None


def is_valueless(type_: Any) -> bool:
    """Return whether all rows of a type are missing, so that it says nothing about others."""
    return bool(pa.types.is_null(type_.value_type if pa.types.is_dictionary(type_) else type_))


def _holds(type_: Any, narrower: Any) -> bool:
    """Return whether a type that Arrow promotes another one to holds all its values, up to the range of datetimes."""
    is_decimal, of_one_kind = pa.types.is_decimal(type_), type_.id == narrower.id
    if type_ == narrower or pa.types.is_null(narrower):
        return True
    if pa.types.is_integer(narrower):
        return _holds_integers(type_, narrower)
    if is_decimal:  # of 256 bits they are no numbers to fit
        return pa.types.is_decimal(narrower) and (of_one_kind or not pa.types.is_decimal256(type_))
    if pa.types.is_floating(type_):
        return pa.types.is_floating(narrower)
    if pa.types.is_dictionary(type_):
        return _holds(type_.value_type, narrower.value_type)
    if pa.types.is_nested(type_):
        children = [[kind.field(i) for i in range(kind.num_fields)] for kind in (type_, narrower)]
        names = [[field.name for field in fields] for fields in children]
        pairs = zip(*children, strict=False)
        return of_one_kind and names[0] == names[1] and all(_holds(a.type, b.type) for a, b in pairs)
    return is_datetime_type(type_) or is_text_type(type_) == is_text_type(narrower)


def _holds_integers(type_: Any, narrower: Any) -> bool:
    """Return whether numbers of a type are all those of an integer type, or more."""
    bits, is_signed = narrower.bit_width, pa.types.is_signed_integer(narrower)
    if pa.types.is_decimal(type_):
        return bool(type_.precision - type_.scale >= _DIGITS[bits] + (bits == 64 and not is_signed))
    if pa.types.is_floating(type_):
        return bool(bits - is_signed <= _EXACT_BITS[type_.bit_width])
    return pa.types.is_signed_integer(type_) == is_signed or type_.bit_width > bits


def promoted(values: Array, type_: pa.DataType) -> Array:
    """Values in the common type of several parts.

    Raises
    ------
    pyarrow.ArrowInvalid
        For datetimes that its unit does not reach.
    """
    if values.type == type_:
        return values
    if is_valueless(values.type):
        kind: Any = type_  # the stubs know no nulls of any type
        return pa.nulls(len(values), kind)
    is_coded = pa.types.is_dictionary(values.type) and not pa.types.is_dictionary(type_)
    return (out_of_dictionary(values) if is_coded else values).cast(type_)


Array = Any  # a pyarrow.Array: the stubs know no array of any type
LARGEST_WHOLE = 2**53  # float64 holds every integer from -2^53 to 2^53


def plain_type(type_: Any) -> pa.DataType:
    """Type of the values that a column stands for; never a view, of which Arrow drops, filters and takes no rows."""
    if pa.types.is_dictionary(type_):
        return plain_type(_taken_type(type_.value_type))
    if pa.types.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    return plain_type(type_.storage_type) if isinstance(type_, pa.BaseExtensionType) else _taken_type(type_)


@overload
def plain_values_of(values: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]: ...


@overload
def plain_values_of(values: Array) -> Array: ...


def plain_values_of(values: Array) -> Array:
    """The values that an array or a chunked array stands for: without dictionaries, runs, views and extension types."""
    if isinstance(values, pa.ChunkedArray):
        type_: Any = plain_type(values.type)
        return values if type_ == values.type else pa.chunked_array([plain_values_of(c) for c in values.chunks], type_)
    if pa.types.is_dictionary(values.type):
        return plain_values_of(out_of_dictionary(values))
    if pa.types.is_run_end_encoded(values.type):
        return plain_values_of(pc.call_function("run_end_decode", [_runs_of_no_view(values)]))
    if isinstance(values.type, pa.BaseExtensionType):
        return plain_values_of(values.storage)
    return values.cast(_taken_type(values.type)) if is_view(values.type) else values


def _runs_of_no_view(values: Array) -> Array:
    """An array of runs whose values Arrow decodes, which it does not for views."""
    type_: Any = values.type
    if not is_view(type_.value_type):
        return values
    entries = values.values.cast(_taken_type(type_.value_type))
    runs: Any = pa.run_end_encoded(type_.run_end_type, entries.type)
    return pa.RunEndEncodedArray.from_buffers(
        runs, len(values), [None], offset=values.offset, children=(values.run_ends, entries)
    )


def out_of_dictionary(values: Array) -> Array:
    """Values of a dictionary array by row; null where the index or the entry is null."""
    entries, type_ = values.dictionary, _taken_type(values.type.value_type)
    return taken(entries if entries.type == type_ else entries.cast(type_), values.indices.cast(pa.int64()))


def _taken_type(type_: pa.DataType) -> pa.DataType:
    """Type for Arrow's `take`, which does not support views."""
    if is_text_type(type_) and not pa.types.is_string(type_):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(type_) else type_


def tidied(values: Array) -> Array:
    """A dictionary array without missing or duplicate entries, as pandas and Arrow's joins need them."""
    entries = values.dictionary
    try:
        codes = entries.dictionary_encode()
    except pa.ArrowNotImplementedError:
        return values
    if not codes.indices.null_count and len(codes.dictionary) == len(entries):
        return values
    indices = codes.indices.take(values.indices).cast(values.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, codes.dictionary, ordered=values.type.ordered)


def joined_arrays(arrays: Sequence[Array], type_: Any) -> Array:
    """Arrays of one type concatenated, also where their dictionaries differ or hold missing entries.

    Raises
    ------
    pyarrow.ArrowInvalid
        For dictionaries that have more entries together than the index type can number.
    """
    if len(arrays) == 1:
        return arrays[0]
    if not arrays:
        return pa.nulls(0, type_)
    if not pa.types.is_dictionary(type_) or all(arrays[0].dictionary.equals(array.dictionary) for array in arrays[1:]):
        return pa.concat_arrays(arrays)
    comparable = _joinable_type(type_.value_type)
    if comparable != type_.value_type:
        entries: Any = comparable  # the stubs know no dictionary of any type
        dictionary_type = pa.dictionary(type_.index_type, entries)
        storage_array = joined_arrays([_with_entries_as(array, comparable) for array in arrays], dictionary_type)
        return _with_entries_as(storage_array, type_.value_type, ordered=type_.ordered)
    try:
        return pa.concat_arrays([tidied(array) for array in arrays])
    except pa.ArrowNotImplementedError:  # entries that Arrow cannot compare, such as lists
        return _concat_dictionaries(arrays, type_)


def _joinable_type(type_: Any) -> pa.DataType:
    """Type as which Arrow joins different dictionaries; Arrow 26 joins those of float16 wrongly."""
    if pa.types.is_float16(type_):
        return pa.uint16()
    storage_type: pa.DataType = type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
    return storage_type


def _with_entries_as(values: Array, type_: Any, *, ordered: bool = False) -> Array:
    """A dictionary array with its entries, or their storage, as another type."""
    entries = values.dictionary
    if isinstance(entries.type, pa.BaseExtensionType):
        entries = entries.storage
    elif isinstance(type_, pa.BaseExtensionType):
        entries = pa.ExtensionArray.from_storage(type_, entries)
    else:
        entries = entries.view(type_)
    return pa.DictionaryArray.from_arrays(values.indices, entries, ordered=ordered)


def _concat_dictionaries(arrays: Sequence[Array], type_: Any) -> Array:
    """Dictionary arrays as one, whose dictionary concatenates the different dictionaries."""
    dictionaries: list[Array] = []
    indices = []
    for array in arrays:
        at = next((i for i, words in enumerate(dictionaries) if words.equals(array.dictionary)), len(dictionaries))
        dictionaries[at:] = dictionaries[at:] or [array.dictionary]
        start = sum(map(len, dictionaries[:at]))
        indices.append(pc.add(array.indices.cast(pa.int64()), start).cast(type_.index_type))
    entries = pa.concat_arrays(dictionaries)
    return pa.DictionaryArray.from_arrays(pa.concat_arrays(indices), entries, ordered=type_.ordered)


def taken(values: Any, rows: Any) -> Any:
    """Rows of an array, a chunked array or a table, also of types that Arrow's `take` does not support.

    Parameters
    ----------
    values : pyarrow.Array, pyarrow.ChunkedArray or pyarrow.Table
        The rows.
    rows : ndarray or pyarrow.Array of shape (taken,), int64
        Places of those to take; where one is missing, so is the row.
    """
    try:
        return values.take(pa.array(rows, pa.int64()))
    except pa.ArrowNotImplementedError:
        pass
    if isinstance(values, pa.Table):
        return pa.Table.from_arrays([taken(column, rows) for column in values.columns], schema=values.schema)
    if is_view(values.type):
        return taken(values.cast(_taken_type(values.type)), rows).cast(values.type)
    is_chunked = isinstance(values, pa.ChunkedArray)
    pieces = [pa.nulls(1, values.type) if row is None else values.slice(row, 1) for row in rows.tolist()]
    if is_chunked:
        chunks = [piece.combine_chunks() if isinstance(piece, pa.ChunkedArray) else piece for piece in pieces]
        return pa.chunked_array(chunks, values.type)
    return pa.concat_arrays(pieces or [values.slice(0, 0)])


def replaced_rows(values: Any, places: Any, replacements: Any) -> Any:
    """Values of the host with replacements at some places, in the values' type."""
    order = np.arange(len(values))
    order[places] = len(values) + np.arange(len(places))
    return taken(joined_arrays([values, replacements.cast(values.type)], values.type), order)


SLACK = 1.125  # of buffers over the rows that they hold: ends of offsets, and bits in whole bytes


def copied(values: Array) -> Array:
    """A copy without other rows; a slice, and its pickle, hold all buffers that it was cut from.

    Dictionaries keep all entries, from which a fit learns the possible categories.
    """
    type_ = values.type
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, copied(values.storage))
    if pa.types.is_dictionary(type_):
        return pa.DictionaryArray.from_arrays(copied(values.indices), copied(values.dictionary), ordered=type_.ordered)
    if is_view(type_):  # Arrow joins views with the bytes of all others beside them
        return values.cast(_taken_type(type_)).cast(type_)
    is_shared_inside = _shares_inside(type_)
    with suppress(pa.ArrowTypeError):  # of views of lists, before pyarrow 25
        if not is_shared_inside and values.get_total_buffer_size() <= SLACK * values.nbytes + 64:
            return values
    array = pa.concat_arrays([values, values.slice(0, 0)])
    return _with_copied_children(array) if is_shared_inside else array


def _shares_inside(type_: Any) -> bool:
    """Return whether a nested type holds dictionaries or views; unions do not count, as they cannot be joined."""
    if pa.types.is_union(type_):
        return False
    child_types = [type_.field(i).type for i in range(type_.num_fields)]
    return any(pa.types.is_dictionary(child) or is_view(child) or _shares_inside(child) for child in child_types)


def _with_copied_children(values: Array) -> Array:
    """A nested array that begins where its buffers do, with copies of its children."""
    type_ = values.type
    if pa.types.is_run_end_encoded(type_):
        return pa.RunEndEncodedArray.from_arrays(values.run_ends, copied(values.values), type_)
    children = [values.field(i) for i in range(type_.num_fields)] if pa.types.is_struct(type_) else [values.values]
    buffers = values.buffers()[: type_.num_buffers]
    return pa.Array.from_buffers(
        type_, len(values), buffers, values.null_count, children=[copied(child) for child in children]
    )


class _Pickler(pickle.Pickler):
    """Pickles Arrow's arrays without the rows that they were cut from, and a dictionary of several once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._dictionaries: list[Array] = []

    def reducer_override(self, value: Any) -> Any:
        """Constructor and parts of an Arrow array; other objects are pickled as Python does."""
        if not isinstance(value, pa.Array):
            return NotImplemented
        if not isinstance(value, pa.DictionaryArray):
            return copied(value).__reduce__()
        parts = value.indices, self._shared_entries(value.dictionary), None, value.type.ordered
        return pa.DictionaryArray.from_arrays, parts

    def _shared_entries(self, entries: Array) -> Array:
        """The entries, or equal ones that are in the pickle already."""
        pickled = (words for words in self._dictionaries if words.type == entries.type and words.equals(entries))
        twin = next(pickled, None)
        if twin is None:
            self._dictionaries.append(entries)
        return entries if twin is None else twin


BUFFERS_ASIDE = 5  # from this version on pickles have buffers aside; Dask's scheduler writes version 4


class Packed:
    """A value on its way to another process: its pickle, in which slices hold no other rows.

    Parameters
    ----------
    value : object
        The value.
    """

    def __init__(self, value: Any) -> None:
        self._buffers: list[Any] = []
        stream = BytesIO()
        _Pickler(stream, BUFFERS_ASIDE, buffer_callback=self._buffers.append).dump(value)
        self._pickle = stream.getvalue()

    @classmethod
    def pack(cls, value: Any) -> Any:
        """Pack a value; one that only Dask can pickle is returned as it is."""
        try:
            return cls(value)
        except (pickle.PicklingError, AttributeError, TypeError):
            return value

    @classmethod
    def unpack(cls, value: Any) -> Any:
        """Unpack a value, whose arrays lie in the buffers; others are returned as they are."""
        return pickle.loads(value._pickle, buffers=value._buffers) if isinstance(value, cls) else value

    def __reduce_ex__(self, version: Any) -> tuple[Any, ...]:
        buffers = list(map(pickle.PickleBuffer if version >= BUFFERS_ASIDE else bytes, self._buffers))
        return object.__new__, (Packed,), {"_pickle": self._pickle, "_buffers": buffers}

    def __sizeof__(self) -> int:
        return len(self._pickle) + sum(memoryview(buffer).nbytes for buffer in self._buffers)


def exactly_cast(values: Array, type_: pa.DataType) -> Array:
    """Cast an array to a type that holds all its values exactly.

    Raises
    ------
    pyarrow.ArrowException
        Where it does not hold them; Arrow itself rounds floats, decimals and datetimes.
    """
    cast, kind = values.cast(type_), values.type
    if kind == type_ or is_text_type(type_) or not _is_rounded(kind):
        return cast
    equal: Any = pc.equal(cast.cast(kind), values)
    matches = equal.fill_null(fill_value=True)
    if pa.types.is_floating(kind):
        nan: Any = pc.is_nan(values)  # which differs from itself
        matches = pc.or_(matches, nan.fill_null(fill_value=True))
    if not pc.all(matches, min_count=0).as_py():  # of no rows: true, not null
        raise pa.ArrowInvalid(f"{type_} does not hold all values of {kind}")
    return cast


def _is_rounded(type_: pa.DataType) -> bool:
    """Return whether Arrow's casts of a type may round; float16 fits into every float type."""
    floats = pa.types.is_floating(type_) and not pa.types.is_float16(type_)
    return bool(floats or pa.types.is_decimal(type_) or pa.types.is_temporal(type_))


def is_view(type_: pa.DataType) -> bool:
    """Return whether values are views of bytes elsewhere."""
    return pa.types.is_string_view(type_) or pa.types.is_binary_view(type_)


def reading_options(**options: Any) -> Any:
    """Options for reading IPC, with memory aligned as the types need it."""
    ipc: Any = pa.ipc  # the stubs know no alignment
    return ipc.IpcReadOptions(ensure_alignment=ipc.Alignment.DataTypeSpecific, **options)
