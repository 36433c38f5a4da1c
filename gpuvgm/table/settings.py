"""What a model file keeps of a transformer beside its columns: arguments, and the form of the table that was fitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from gpuvgm.columns import TableModel, check_settings
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.report import HoldOut
from gpuvgm.table.description import jsonable

#: Parameters that a model file leaves out.
OF_THIS_MACHINE = ("columns", "engine", "executor", "threads", "block_rows", "memory", "progress")


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """What a model file keeps of a transformer beside its columns.

    Parameters
    ----------
    arguments : dict of str to object
        Arguments of the constructor.
    dtypes : dict of str to dtype
        Dtypes of the fitted columns in pandas; of a file their names.
    frame : str
        Kind of the table that was fitted.
    labels : mapping of str to object
        Labels of columns that are no text, by name.
    hold_out : HoldOut, optional
        Rows that the fit of a generator did not see; written by the generator.
    sequence : (str, str), optional
        Column of the keys to which the rows of a generator belong, and that of their order or ""; written by it, too.
    """

    arguments: dict[str, Any]
    dtypes: dict[str, Any]
    frame: str
    labels: Mapping[str, Any]
    hold_out: HoldOut | None = None
    sequence: tuple[str, str] | None = None

    @classmethod
    def of_model(cls, model: TableModel, path: str | PathLike[str], names: Collection[str]) -> StoredSettings:
        """The settings of a model that was read from a file.

        Parameters
        ----------
        model : TableModel
            The model.
        path : path
            The file, for messages.
        names : collection of str
            Arguments that the constructor has.

        Raises
        ------
        InputError
            For a private synthesizer, which has no encoded columns, and for a database.
        ModelFileError
            For settings that no transformer has.
        """
        if model.generator == "private":
            raise InputError(
                f"{fspath(path)}: a private synthesizer, which has no encoded columns: load it with gpuvgm.load, and "
                "draw rows with `gpuvgm sample`"
            )
        if model.generator == "database":
            raise InputError(
                f"{fspath(path)}: tables that refer to each other, none of which is encoded alone: load them with "
                "gpuvgm.load, and draw them with `gpuvgm sample`"
            )
        arguments = {name: value for name, value in model.settings.items() if name != "synthesizer"}
        dtypes, frame = arguments.pop("pandas_dtypes", None), arguments.pop("frame", None)
        labels = arguments.pop("labels", {})
        try:
            _check_form(dtypes, frame, labels, unknown=sorted(set(arguments) - (set(names) - set(OF_THIS_MACHINE))))
            check_settings(arguments)
        except ValueError as problem:
            raise ModelFileError(
                f"{fspath(path)}: model.json is inconsistent ({problem}); write the model again"
            ) from None
        try:
            rule = HoldOut.of_settings(model.settings.get("synthesizer"))
            sequence = _sequence_of(model.settings.get("synthesizer"))
        except (ValueError, TypeError, InputError) as problem:
            remark = f"its settings are inconsistent ({problem}); write it again"
            raise ModelFileError(f"{fspath(path)}: {remark}") from problem
        by_name = {name: _label_of(label) for name, label in labels.items()}
        return cls(arguments, dtypes, frame, by_name, rule, sequence)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        settings = {name: value for name, value in self.arguments.items() if name not in OF_THIS_MACHINE}
        labels = {name: jsonable(label) for name, label in self.labels.items()}  # numbers, and several of a label
        return settings | {
            "pandas_dtypes": {name: str(dtype) for name, dtype in self.dtypes.items()},
            "frame": self.frame,
            "labels": {name: label for name, label in labels.items() if _label_of(label) == self.labels[name]},
        }


def _sequence_of(settings: Any) -> tuple[str, str] | None:
    """Columns of keys and of the order of their rows, among the settings of a generator; None where rows have none."""
    record = settings.get("sequence") if isinstance(settings, Mapping) else None
    if record is None:
        return None
    plan = record.get("plan") if isinstance(record, Mapping) else None
    key, index = (plan.get("key"), plan.get("index")) if isinstance(plan, Mapping) else (None, None)
    if not isinstance(key, str) or not isinstance(index, str):
        raise ValueError("its columns of keys and their order are none")
    return key, index


def _label_of(stored: Any) -> Any:
    """A label of pandas as a model file has it: labels of several parts are lists there."""
    return tuple(stored) if isinstance(stored, list) else stored


def _check_form(dtypes: Any, frame: Any, labels: Any, *, unknown: list[str]) -> None:
    """Refuse unknown settings, and a form of the fitted table that no transformer has."""
    if unknown:
        raise InputError(f"it has a setting {unknown[0]!r:.60}, which is unknown")
    if not isinstance(dtypes, dict) or not all(isinstance(dtype, str) for dtype in dtypes.values()):
        raise InputError("its dtypes of pandas are no texts")
    if not isinstance(frame, str):
        raise InputError("its kind of table is no text")
    if not isinstance(labels, dict) or not all(isinstance(label, (int, float, list)) for label in labels.values()):
        raise InputError("its labels are no numbers")
