"""Names of encoded columns, which a template makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from string import Formatter
from typing import ClassVar

from gpuvgm.errors import InputError


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """Names of the encoded parts of a column.

    Parameters
    ----------
    text : str
        The names, with ``{column}`` for the name of the column. ``{part}`` is "scalar" or "mode"; of a one-hot column
        it is "mode" and the number, joined by the character before ``{part}``. Without ``{part}`` the template is the
        name of scalars, and modes get ``_{part}`` at the end. Braces of its own are doubled.

    Raises
    ------
    InputError
        For a template without ``{column}``, or with other fields.
    """

    DEFAULT: ClassVar[NameTemplate]

    text: str = "{column}.{part}"
    _modes: str = field(init=False, repr=False, compare=False)
    _before_code: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            parsed = list(Formatter().parse(self.text))
        except (ValueError, TypeError) as problem:
            raise InputError(f"names {self.text!r}: is no template ({problem}); double braces of its own") from None
        preceding = {name: literal[-1:] for literal, name, _, _ in parsed}
        fields = Counter(name for _, name, _, _ in parsed if name is not None)
        if any(spec or conversion for _, _, spec, conversion in parsed) or not fields.keys() <= {"column", "part"}:
            raise InputError(f"names {self.text!r}: has fields other than {{column}} and {{part}}; leave them out")
        if fields["column"] != 1 or fields["part"] > 1:
            raise InputError(f"names {self.text!r}: needs {{column}} once, and {{part}} at most once")
        object.__setattr__(self, "_modes", self.text if "part" in fields else self.text + "_{part}")
        object.__setattr__(self, "_before_code", preceding.get("part") or "_")

    def scalar(self, column: str) -> str:
        """Name of a column's scalars."""
        return self.text.format(column=column, part="scalar")

    def mode(self, column: str) -> str:
        """Name of a column's modes."""
        return self._modes.format(column=column, part="mode")

    def onehot(self, column: str, code: int) -> str:
        """Name of a one-hot column."""
        return self._modes.format(column=column, part=f"mode{self._before_code}{code}")


NameTemplate.DEFAULT = NameTemplate()
