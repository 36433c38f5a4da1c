"""Samples beside the tables: what is told of a good sample, and of spoilt ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from tests.synthesis.databases.shop import VISITS, Tables, visits

DRAWN = ["customers", "orders", "lines"]


def figures_of(document: Any) -> list[float]:
    """All numbers of a document."""
    if isinstance(document, dict):
        return [figure for part in document.values() for figure in figures_of(part)]
    if isinstance(document, list):
        return [figure for part in document for figure in figures_of(part)]
    return [document] if isinstance(document, int | float) and not isinstance(document, bool) else []


def reference_of(comparison: Any, child: str) -> Any:
    """The figures of a table's reference."""
    (figures,) = (figures for figures in comparison.references if figures.reference.startswith(f"{child}."))
    return figures


def total_of(comparison: Any, law: str) -> Any:
    """The figures of a law between a parent and its children."""
    (figures,) = (figures for figures in comparison.totals if law in figures.law)
    return figures


def test_good_samples_can_hardly_be_told(comparison: Any) -> None:
    assert sorted(comparison.tables) == sorted(DRAWN)
    told = [comparison.tables[name].detection for name in comparison.tables]
    assert all(0.45 < detection.auc < 0.65 for detection in told if detection is not None)
    assert sum(detection is not None for detection in told) >= 1
    for child in ("orders", "lines"):
        figures = reference_of(comparison, child)
        assert figures.original == figures.sampled == {"here": 1, "elsewhere": 0, "none": 0}
        assert 0.85 < figures.children <= 1
    for law in ("order.lines = count()", "order.total = sum(amount)"):
        assert total_of(comparison, law).original == total_of(comparison, law).sampled == 1


def test_texts_and_figures(comparison: Any) -> None:
    lines = str(comparison).splitlines()
    assert sorted(line.partition(":")[0] for line in lines[:3]) == sorted(DRAWN)
    children = reference_of(comparison, "orders").children
    assert (
        "orders.customer -> customers.id: 100.00% of the rows of orders lead to one of customers (in the tables "
        f"100.00%); numbers of orders for a row of customers alike by {children:.3f} (1 is best)"
    ) in lines
    assert "lines: order.total = sum(amount) holds for 100.00% of the parents (table 100.00%)" in lines
    document = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert sorted(document) == ["has_held_out", "near", "pairs", "references", "tables", "totals"]
    assert [*document["tables"]] == [*comparison.tables]
    assert {reference["reference"] for reference in document["references"]} == {
        "orders.customer -> customers.id",
        "lines.order -> orders.id",
    }
    figures = figures_of(document)
    assert len(figures) > 50
    assert all(map(math.isfinite, figures))


def test_pages_name_all_tables(comparison: Any, tmp_path: Path) -> None:
    page = comparison.to_html(tmp_path / "shop.html", title="Our shop")
    assert (tmp_path / "shop.html").read_text(encoding="utf-8") == page
    assert "<title>Our shop</title>" in page
    assert all(name in page for name in DRAWN)
    assert "numbers of orders for a row of customers alike by" in page
    assert "only one of these is compared." in page
    assert f"orders: {comparison.tables['orders'].rows} rows, orders of the sample: " in page


def test_samples_are_drawn_or_given(tmp_path: Path) -> None:
    """The sample of a seed is the same one as a mapping, as a folder of files, and drawn for the comparison."""
    tables = visits(60, 0)
    synthesizer = gpuvgm.DatabaseSynthesizer(keep=["branches"], threads=1).fit(tables, keys=VISITS)
    drawn = synthesizer.evaluate(tables, seed=1).to_dict()
    assert synthesizer.evaluate(tables, synthesizer.sample(seed=1)).to_dict() == drawn
    paths = synthesizer.sample(out=tmp_path / "shop", seed=1)
    paths["branches"].unlink()  # tables that are kept need not be there
    assert synthesizer.evaluate(tables, tmp_path / "shop").to_dict() == drawn
    assert synthesizer.evaluate(tables, seed=2).to_dict() != drawn


def test_orders_of_others_and_totals_that_are_no_sums_are_told(
    tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables, comparison: Any
) -> None:
    """Orders whose customers and totals are those of other orders, and lines that lead to other products."""
    random = np.random.default_rng(0)
    orders = sample["orders"].assign(
        **{name: random.permutation(sample["orders"][name]) for name in ("customer", "total")}
    )
    lines = sample["lines"].assign(product=random.permutation(sample["lines"]["product"]))
    spoilt = synthesizer.evaluate(tables, {**sample, "orders": orders, "lines": lines})
    laws = {law["law"]: law["synthetic"] for law in spoilt.to_dict()["tables"]["orders"]["laws"]}
    assert laws["customer.joined <= day"] < 0.95
    assert "customer.joined <= day" in str(spoilt)
    assert "customer.joined <= day" not in str(comparison)
    assert total_of(spoilt, "sum(amount)").sampled < 0.1
    assert total_of(spoilt, "count()").sampled == 1
    assert spoilt.totals[0].law == "order.total = sum(amount)"  # the worst one
    pairs = [pair for pair in spoilt.pairs if pair.columns == ("price", "product.price")]
    assert [pair.table for pair in pairs] == ["lines"]
    assert spoilt.pairs[0] == pairs[0]  # the worst one
    assert pairs[0].original == pytest.approx(1)
    assert abs(pairs[0].sampled) < 0.2
    told = f"lines: price goes with product.price by a correlation of {pairs[0].sampled:z.2f} (table 1.00)"
    assert told in str(spoilt).splitlines()
    assert told in spoilt.to_html()
    assert "price goes with" not in str(comparison)


def test_few_parents_and_references_to_nowhere_are_told(
    tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables
) -> None:
    orders = sample["orders"].assign(customer=np.resize(sample["customers"].id[:10], len(sample["orders"])))
    lots = np.arange(len(sample["lines"])) % 10
    lines = sample["lines"].assign(order=sample["lines"].order.mask(lots < 2, "O-000001").mask(lots == 2, None))
    spoilt = synthesizer.evaluate(tables, {**sample, "orders": orders, "lines": lines})
    assert spoilt.references[0].reference == "orders.customer -> customers.id"  # the worst one
    assert reference_of(spoilt, "orders").children < 0.5
    assert {*[*spoilt.tables][:2]} == {"customers", "lines"}
    assert spoilt.tables["customers"].detection.auc > 0.7
    shares = reference_of(spoilt, "lines").sampled
    assert shares == pytest.approx({"here": 0.7, "elsewhere": 0.2, "none": 0.1}, abs=0.01)
    assert reference_of(spoilt, "lines").difference == pytest.approx(0.3, abs=0.01)
    told = f"lines.order -> orders.id: {shares['here']:.2%} of the rows of lines lead to one of orders (in the tables"
    assert told in str(spoilt)


def test_limits_that_tables_break_are_told(comparison: Any) -> None:
    assert comparison.broken({"max_auc": 0.75, "min_score": 0.8}) == []
    broken = comparison.broken({"max_auc": None, "min_score": 0.999})
    assert [text.partition(":")[0] for text in broken] == [*comparison.tables]
    told = [name for name, of_table in comparison.tables.items() if of_table.detection is not None]
    assert [text.partition(":")[0] for text in comparison.broken({"max_auc": 0.01})] == told
    with pytest.raises(InputError, match='no limit is called "auc"'):
        comparison.broken({"auc": 0.5})


def test_the_fitted_tables_are_like_themselves(tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    """Numbers of children are the same; that rows are copied is told."""
    copied = synthesizer.evaluate(tables, tables)
    for child in ("orders", "lines"):
        assert reference_of(copied, child).children == 1
        assert reference_of(copied, child).difference == 0
    assert "equal an original row" in str(copied) or "real value" in str(copied)


def test_tables_that_lack_are_named(tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, tmp_path: Path) -> None:
    lacking = {name: table for name, table in tables.items() if name != "lines"}
    with pytest.raises(InputError, match='^tables: there is no table "lines", which was fitted'):
        synthesizer.evaluate(lacking)
    with pytest.raises(InputError, match='^compare: there is no table "lines", which was fitted'):
        synthesizer.evaluate(tables, lacking)
    with pytest.raises(InputError, match=r"customers\.parquet: is not there"):
        synthesizer.evaluate(tables, tmp_path)


def test_repeated_keys_are_refused(tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables) -> None:
    customers = sample["customers"].iloc[[*range(300), 3]].reset_index(drop=True)
    with pytest.raises(InputError, match='rows 3 and 300 of "customers" have the same key'):
        synthesizer.evaluate(tables, {**sample, "customers": customers})
