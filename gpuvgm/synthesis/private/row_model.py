"""What a private synthesizer has learnt: counts with noise, the network of them, and how a file holds both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.errors import counted
from gpuvgm.synthesis.counts import file_of
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.declared import Domain
from gpuvgm.synthesis.private.mechanism import Released, pair_shapes
from gpuvgm.synthesis.private.model import ColumnCounts, GivenNetwork, network_of, releases_of

UNIT = "a person, who has at most rows_per_person rows"
NEIGHBOURS = "tables that differ by all rows of one person, which one has and the other one lacks"
_COUNTS = pa.schema([("counts", pa.large_list(pa.int64()))])


@dataclass(frozen=True, slots=True)
class PrivateRowModel:
    """What rows are drawn from, all of which the promise covers.

    Parameters
    ----------
    domain : Domain
        The declared columns.
    promise : Promise
        What is promised to persons.
    released : Released
        Counts with noise.
    network : GivenNetwork
        The network of them.
    rows : int
        About how many rows the table has.
    """

    domain: Domain
    promise: Promise
    released: Released
    network: GivenNetwork
    rows: int

    @classmethod
    def of(cls, domain: Domain, promise: Promise, released: Released) -> PrivateRowModel:
        """The model of what was released."""
        counts = ColumnCounts.of(domain, released.columns, released.releases)
        return cls(domain, promise, released, network_of(domain, counts, released), round(counts.rows))

    @classmethod
    def of_file(cls, document: Mapping[str, Any], tables: bytes) -> PrivateRowModel:
        """The model of a file's document and tables; raises ValueError and the like where they are not of one model."""
        promise = Promise.of(*(document[name] for name in ("epsilon", "delta", "rows_per_person")))
        domain = Domain.of(document["domain"])
        model = cls.of(domain, promise, _released_of(tables, domain, releases_of(domain, promise)))
        if model.document != document:
            raise ValueError("its noise is not that of its promise")
        return model

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the synthesizer."""
        promise = self.promise
        return {
            "domain": self.domain.document,
            "epsilon": float(promise.epsilon),
            "delta": float(promise.delta),
            "rows_per_person": promise.rows,
        }

    @property
    def document(self) -> dict[str, Any]:
        """Domain, promise, unit, neighbours, and what was spent on what; fractions as text."""
        releases = self.released.releases
        return {
            "with": "private",
            **self.parameters,
            "epsilon": str(self.promise.epsilon),
            "delta": str(self.promise.delta),
            "unit": UNIT,
            "neighbours": NEIGHBOURS,
            "rho": str(sum(spent.rho for spent in releases)),
            "releases": [asdict(spent) for spent in releases],
        }

    @property
    def tables(self) -> bytes:
        """Noisy counts as the bytes of an Arrow file."""
        tables = [np.ravel(table) for table in (*self.released.columns, *self.released.pairs)]
        return file_of(pa.Table.from_arrays([pa.array(tables, _COUNTS.field(0).type)], schema=_COUNTS))

    @property
    def description(self) -> str:
        """The promise and what it cost, in a line."""
        promise, releases = self.promise, self.released.releases
        noise, rho = [f"{spent.name} {spent.variance:,}" for spent in releases], sum(spent.rho for spent in releases)
        return (
            f"({float(promise.epsilon):g}, {float(promise.delta):g})-differentially private for persons with at most "
            f"{counted(promise.rows, 'row')} (rho {float(rho):.3g}; variance of the noise: {', '.join(noise)}); "
            "experimental"
        )


def _released_of(body: bytes, domain: Domain, releases: tuple[Release, ...]) -> Released:
    """What was released, from the bytes of an Arrow file; ValueError where it does not fit the domain."""
    stored = ArrowBytes.of(body).table(_COUNTS).column("counts")
    tables = [np.array(table.values.to_numpy()) for table in stored]
    sizes = [size for column in domain.counted.values() for size in column.level_sizes]
    columns = tuple(tables[: len(sizes)])
    if [len(table) for table in columns] != sizes:
        raise ValueError("its counts do not fit its domain")
    shapes = pair_shapes(ColumnCounts.of(domain, columns, releases).bins) if len(releases) > 1 else []
    pairs = tuple(table.reshape(shape) for table, shape in zip(tables[len(sizes) :], shapes, strict=True))
    return Released(columns, pairs, releases)
