"""Rows that a fit does not see: some of the tables without parents, and all rows that refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from gpuvgm.report import HoldOut
from gpuvgm.synthesis.databases.joins import Bools, Links
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference, in_order


@dataclass(frozen=True, slots=True)
class HeldOutRows:
    """Which rows of the tables a fit does not see.

    Persons are held out whole: with a customer go its orders, and the lines of these.

    Parameters
    ----------
    rules : mapping of str to HoldOut
        By table without parents which of its rows are chosen.
    """

    rules: Mapping[str, HoldOut] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: DatabasePlan, rows: Mapping[str, pa.Table], share: float, seed: int) -> HeldOutRows:
        """A share of the rows of the tables without parents.

        Those that are a further parent alone, as couriers are of orders beside their customers, are seen whole.

        Raises
        ------
        InputError
            For a share that is none.
        """
        parents, owners = ({of.parent for of in some} for some in (plan.references, plan.first.values()))
        seen = {*plan.kept, *plan.first, *(parents - owners)}
        return cls({name: HoldOut(share, seed, (*of.schema.names,)) for name, of in rows.items() if name not in seen})

    def chosen(self, rows: Mapping[str, pa.Table], links: Mapping[Reference, Links]) -> dict[str, Bools]:
        """Which rows are held out, of each table that is not seen whole.

        Parameters
        ----------
        rows : mapping of str to pyarrow.Table
            The tables.
        links : mapping of Reference to Links
            Which row refers to which.
        """
        chosen = dict[str, Bools]()
        for name in in_order([*links], rows):
            of_row = np.zeros(rows[name].num_rows, bool)
            if name in self.rules:
                of_batches = [self.rules[name].holds(batch) for batch in rows[name].to_batches()]
                chosen[name] = np.concatenate([of_row[:0], *of_batches])
            for of_rows in (
                of for of in links.values() if of.reference.child == name and of.reference.parent in chosen
            ):
                of_parents = np.append(chosen[of_rows.reference.parent], False)
                chosen[name] = chosen.get(name, of_row) | of_parents[np.where(of_rows.is_here, of_rows.rows, -1)]
        return chosen
