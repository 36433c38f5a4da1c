"""An engine whose arrays all lie on the device, behind the contract that tests call with arrays of the host."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpuvgm.engines.base import PLAIN
from gpuvgm.engines.cuda import CudaEngine


class ResidentEngine:
    """Uploads what it is given, runs the engine on the device, and downloads what was written."""

    name = "cuda"

    def __init__(self, engine: CudaEngine) -> None:
        self.engine = engine
        self.device = engine.device

    def up(self, array: Any) -> Any:
        return None if array is None else self.device.xp.asarray(np.array(array, order="C"))

    def down(self, resident: Any, out: Any) -> None:
        if out is not None:
            out[...] = self.device.to_host(resident)

    def summarise(self, values, grid, rules=PLAIN, missing=None):  # type: ignore[no-untyped-def]
        return self.engine.summarise(self.up(values), grid, rules, self.up(missing))

    def running_summary(self, grid, rules=PLAIN):  # type: ignore[no-untyped-def]
        running = self.engine.running_summary(grid, rules)
        return SimpleNamespace(
            add=lambda values, missing=None: running.add(self.up(values), self.up(missing)), summary=running.summary
        )

    def e_step(self, x, weight, scatter, table):  # type: ignore[no-untyped-def]
        return self.device.to_host(self.engine.e_step(self.up(x), self.up(weight), self.up(scatter), table))

    def count_most_probable(self, x, weight, table):  # type: ignore[no-untyped-def]
        return self.engine.count_most_probable(self.up(x), self.up(weight), table)

    def e_step_features(self, x, weight, table):  # type: ignore[no-untyped-def]
        return self.device.to_host(self.engine.e_step_features(self.up(x), self.up(weight), table))

    def log_prob(self, x, table):  # type: ignore[no-untyped-def]
        return self.device.to_host(self.engine.log_prob(self.up(x), table))

    def encode(self, values, rules, table, draw, out, missing=None):  # type: ignore[no-untyped-def]
        written = tuple(map(self.up, out))
        draw = replace(draw, uniforms=self.up(draw.uniforms))
        counts = self.engine.encode(self.up(values), rules, table, draw, written, self.up(missing))
        for array, target in zip(written, out, strict=True):
            self.down(array, target)
        return self.device.to_host(counts)

    def decode(self, scalar, code, rules, table, out, missing=None):  # type: ignore[no-untyped-def]
        written, mask = self.up(out), self.up(missing)
        wrong = self.engine.decode(self.up(scalar), self.up(code), rules, table, written, mask)
        self.down(written, out)
        self.down(mask, missing)
        return wrong

    def grow_trees(self, target, ranges, asked, rules):  # type: ignore[no-untyped-def]
        return self.engine.grow_trees(
            self.up(target), ranges, [replace(c, codes=self.up(c.codes)) for c in asked], rules
        )

    def joint_entropies(self, columns):  # type: ignore[no-untyped-def]
        return self.engine.joint_entropies([replace(c, codes=self.up(c.codes)) for c in columns])

    def information(self, columns):  # type: ignore[no-untyped-def]
        return self.engine.information(columns)

    def count_in_trees(self, target, grown, codes):  # type: ignore[no-untyped-def]
        return self.engine.count_in_trees(self.up(target), grown, [*map(self.up, codes)])

    def draw_in_trees(self, grown, codes, shares, draw, rows):  # type: ignore[no-untyped-def]
        return self.device.to_host(self.engine.draw_in_trees(grown, [*map(self.up, codes)], shares, draw, rows))

    def log_shares_in_trees(self, target, grown, codes, log_shares):  # type: ignore[no-untyped-def]
        return self.engine.log_shares_in_trees(self.up(target), grown, [*map(self.up, codes)], log_shares)

    def fill_onehot(self, parts, out):  # type: ignore[no-untyped-def]
        written = self.up(out)
        self.engine.fill_onehot([(self.up(scalar), self.up(code), codes) for scalar, code, codes in parts], written)
        self.down(written, out)

    def read_onehot(self, matrix, parts):  # type: ignore[no-untyped-def]
        written = [(self.up(scalar), self.up(code), *rest) for scalar, code, *rest in parts]
        self.engine.read_onehot(self.up(matrix), written)
        for (scalar, code, *_), (found, place, *_) in zip(parts, written, strict=True):
            self.down(found, scalar)
            self.down(place, code)

    def find_bins(self, numbers, edges, codes):  # type: ignore[no-untyped-def]
        return self.device.to_host(self.engine.find_bins(self.up(numbers), edges, codes))

    def joint_counts(self, codes, parents, column):  # type: ignore[no-untyped-def]
        pairs, triples = self.engine.joint_counts(self.up(codes), [*map(self.up, parents)], column)
        return self.device.to_host(pairs), None if triples is None else self.device.to_host(triples)

    def draw_rows(self, column, parents, draw, rows):  # type: ignore[no-untyped-def]
        drawn = self.engine.draw_rows(column, [*map(self.up, parents)], draw, rows)
        return tuple(map(self.device.to_host, drawn))
