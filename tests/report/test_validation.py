"""Wrong tables are found without the training rows, and those of the same kind as the training rows agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer, load
from gpuvgm.datasets import mixed_table_rows
from gpuvgm.errors import InputError
from tests.cli.running import invoke

ROWS = 20_000
NAMES = ["amount", "balance", "quantity", "city", "channel", "score", "rate", "when"]


def rows(first: int, seed: int = 5) -> pa.Table:
    return pa.Table.from_batches([mixed_table_rows(first, ROWS, seed)]).select(NAMES)


def put(table: pa.Table, name: str, values: Any) -> pa.Table:
    """The table with other values in a column."""
    at, type_ = table.schema.get_field_index(name), table.schema.field(name).type
    return table.set_column(at, pa.field(name, type_), pa.array(values, type_))


def of(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks()


def clipped(table: pa.Table) -> pa.Table:
    low, high = np.quantile(of(table, "amount"), [0.0, 0.99])
    return put(table, "amount", np.clip(of(table, "amount"), low, round(high, 2)))


def swapped(table: pa.Table) -> pa.Table:
    return put(put(table, "amount", of(table, "score").to_numpy().round(2)), "score", of(table, "amount"))


def off_step(table: pa.Table) -> pa.Table:
    return put(table, "rate", pc.add(of(table, "rate"), pa.scalar(Decimal("0.0001"))).cast(pa.decimal128(9, 4)))


def without_zeros(table: pa.Table) -> pa.Table:
    balance = of(table, "balance")
    return put(table, "balance", pc.if_else(pc.equal(balance, 0.0), 50.0, balance))


def a_year_later(table: pa.Table) -> pa.Table:
    return put(table, "when", pc.add(of(table, "when"), pa.scalar(365 * 86_400 * 10**6, pa.duration("us"))))


WRONG: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "beyond the range": ("score", lambda t: put(t, "score", 100 * of(t, "score").to_numpy())),
    "a wrong unit": ("amount", lambda t: put(t, "amount", of(t, "amount").to_numpy() / 8)),
    "swapped columns": ("amount", swapped),
    "shifted": ("score", lambda t: put(t, "score", np.minimum(of(t, "score").to_numpy() + 8, 99.0))),
    "clipped": ("amount", clipped),
    "an unknown category": ("city", lambda t: put(t, "city", ["Atlantis", *of(t, "city").to_pylist()[1:]])),
    "categories in other shares": ("channel", lambda t: put(t, "channel", ["web"] * ROWS)),
    "a broken step": ("rate", off_step),
    "off the cents": ("balance", lambda t: put(t, "balance", pc.multiply(of(t, "balance"), 1.0001))),
    "no zeros": ("balance", without_zeros),
    "missing values": ("score", lambda t: put(t, "score", [None] * 100 + of(t, "score").to_pylist()[100:])),
    "infinite values": ("score", lambda t: put(t, "score", [np.inf] * 100 + of(t, "score").to_pylist()[100:])),
    "a narrow spread": ("score", lambda t: put(t, "score", 50 + (of(t, "score").to_numpy() - 50) / 2)),
    "another year": ("when", a_year_later),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "payments.gpuvgm"
    TableTransformer({"city": "categorical", "quantity": "continuous"}, random_state=0).fit(rows(0)).save(path)
    return path


def test_the_training_rows_agree_to_the_last_digit(model: Path) -> None:
    found = load(model).validate(rows(0))
    assert found.broken() == []
    assert str(found).startswith("8 of 8 columns agree with the model\n")
    for column in found.columns.values():
        assert column.invalid_rows == 0
        assert not column.off_step_rows
        assert not column.unknown_rows
        assert column.shares == 0
        assert column.ks is None or column.ks < 1e-3
        assert column.mean_shift is None or column.mean_shift < 1e-9
        assert column.tail_ratio is None or column.tail_ratio < 1.1


def test_new_rows_and_decoded_ones_agree(model: Path) -> None:
    transformer = load(model)
    assert transformer.validate(rows(10**6)).broken() == []
    assert transformer.validate(transformer.inverse_transform(transformer.transform(rows(0)))).broken() == []


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_tables_are_named(model: Path, tmp_path: Path, wrong: str) -> None:
    name, spoil = WRONG[wrong]
    pq.write_table(spoil(rows(10**6)), tmp_path / "wrong.parquet")
    told = invoke("validate", tmp_path / "wrong.parquet", "--model", model, "--json", code=1).stdout
    assert any(text.startswith(f'column "{name}": ') for text in json.loads(told)["broken"])


def shifts(values: Any, fitted: Any, **options: Any) -> Any:
    transformer = TableTransformer({"x": {"kind": "continuous", **options}}, max_iter=20).fit({"x": fitted})
    return transformer.validate({"x": values})


def test_standard_deviation_and_skewness_are_those_of_the_rows() -> None:
    random = np.random.default_rng(3)
    fitted, other = random.gamma(2.0, 1.0, 30_000), -2 * random.gamma(2.0, 1.0, 20_000)

    def skewness(x: np.ndarray) -> float:
        return float(np.mean((x - x.mean()) ** 3) / x.std() ** 3)

    for options, of in (({"asinh": 2.0}, lambda x: np.arcsinh(x / 2)), ({}, lambda x: x)):
        column = shifts(other, fitted, **options).columns["x"]
        before, after = of(fitted), of(other)
        assert column.sd_shift == pytest.approx(abs(after.std(ddof=1) / before.std(ddof=1) - 1), rel=1e-5)
        unit = 1 + max(abs(skewness(before)), abs(skewness(after)))
        assert column.skewness_shift == pytest.approx(abs(skewness(after) - skewness(before)) / unit, rel=1e-4)
        assert column.mean_shift == pytest.approx(abs(after.mean() - before.mean()) / before.std(ddof=1), rel=1e-6)


def test_errors_are_those_of_many_tables() -> None:
    random = np.random.default_rng(4)
    fitted, tables = random.normal(0, 1, 20_000), random.gamma(3.0, 1.0, (400, 2_000))
    deviations = tables.std(axis=1, ddof=1) / fitted.std()
    centred = tables - tables.mean(axis=1, keepdims=True)
    skewness = (centred**3).mean(axis=1) / tables.std(axis=1) ** 3
    column = shifts(random.gamma(3.0, 1.0, 400_000), fitted).columns["x"]
    unit = 1 + 2 / np.sqrt(3)
    assert column.sd_error == pytest.approx(deviations.std() * np.sqrt(2_000), rel=0.1)
    assert column.skewness_error == pytest.approx(skewness.std() * np.sqrt(2_000) / unit, rel=0.15)
    few = shifts([0.1, 0.2], random.gamma(3.0, 1.0, 20_000)).columns["x"]  # two values tell nothing of their errors
    in_own_sd = column.sd_error / np.sqrt(3)  # of rows whose standard deviation is the unit
    assert few.sd_error == pytest.approx(in_own_sd, rel=0.1) and shifts([0.1, 0.2], fitted).broken() == []


def test_samples_with_few_ordinary_rows_are_judged_by_these() -> None:
    """A single one has no spread, and forty are not two thousand: rows drawn again from a table pass by default."""
    for values in ([0.0] * 99 + [5.3], [np.nan] * 99 + [5.3], [5.3]):
        assert shifts(values, values, kind="mixed").broken() == []
    for seed in range(12):
        random = np.random.default_rng(seed)
        table = np.where(random.random(2000) < 0.98, 0, np.exp(random.normal(size=2000)))
        assert shifts(random.choice(table, 2000), table, kind="mixed").broken() == []


MOVED: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "wider": ("sd is off, in sd of the training rows, by 0.3", lambda x: 1.35 * x),
    "mirrored": ("skewness is off", lambda x: 2 * x.mean() - x),
    "a quarter moved": (
        "some quantile is off, in sd of the training rows, by",
        lambda x: np.where((x > 0.7) & (x < 1.6), 1.6, x),
    ),
}


@pytest.mark.parametrize("moved", MOVED)
def test_moments_and_quantiles_have_limits(moved: str, random: np.random.Generator) -> None:
    text, move = MOVED[moved]
    fitted, other = random.gamma(1.5, 1.0, 20_000) - 1.5, random.gamma(1.5, 1.0, 20_000) - 1.5
    limits = {"max_ks": None, "max_invalid_share": None, "max_shares": None, "max_tail_ratio": None}
    assert shifts(other, fitted).broken() == []
    assert any(text in sentence for sentence in shifts(move(other), fitted).broken(limits))


def test_quantiles_within_a_gap_between_values_are_not_off(random: np.random.Generator) -> None:
    """Half of the rows lie on either side of it, so that the median jumps by chance."""
    fitted, other = (
        random.normal(0, 0.1, 4_000) + np.where(np.arange(4_000) < middle, 0.0, 9.0) for middle in (2_010, 1_990)
    )
    column = shifts(other, fitted).columns["x"]
    assert column.quantile_shift < 0.1
    assert shifts(other[:3_000], fitted).columns["x"].quantile_shift > 1.0


def test_values_that_are_no_number_are_in_no_tail(random: np.random.Generator) -> None:
    fitted = TableTransformer({"x": "continuous"}, max_iter=20).fit({"x": random.normal(size=10_000)})
    other = np.clip(random.normal(size=10_000), -3, 3)
    other[:500] = np.inf
    column = fitted.validate({"x": other}).columns["x"]
    assert column.invalid_rows >= 500
    assert column.tail_ratio == pytest.approx(fitted.validate({"x": other[500:]}).columns["x"].tail_ratio)
    assert column.ks == pytest.approx(fitted.validate({"x": other[500:]}).columns["x"].ks)


def test_columns_that_are_not_judged_are_named() -> None:
    rows = {"x": np.arange(300.0), "key": [f"k{i}" for i in range(300)], "note": ["a"] * 300}
    fitted = TableTransformer({"key": "id", "note": "pass", "x": "general"}).fit(rows)
    found = fitted.validate(rows)
    assert found.to_dict()["not_judged"] == list(found.not_judged) == ["key", "note"]
    assert str(found).endswith("not judged, identifiers or handed through: key, note")


def test_a_verdict_names_the_columns_first(model: Path, tmp_path: Path) -> None:
    pq.write_table(WRONG["swapped columns"][1](rows(10**6)), tmp_path / "wrong.parquet")
    told = invoke("validate", tmp_path / "wrong.parquet", "--model", model, code=1).stdout
    assert told.splitlines()[0] == "6 of 8 columns agree with the model; look at amount, score"


@pytest.mark.parametrize("settings", [{"block_rows": 1_000}, {"engine": "reference"}, {"threads": 3}])
def test_figures_do_not_depend_on_blocks_engines_or_threads(model: Path, settings: dict[str, Any]) -> None:
    wrong = WRONG["a narrow spread"][1](rows(10**6))
    assert load(model).set_params(**settings).validate(wrong).to_dict() == load(model).validate(wrong).to_dict()


def test_limits(model: Path) -> None:
    found = load(model).validate(WRONG["clipped"][1](rows(10**6)))
    assert found.broken({"max_tail_ratio": None}) == []
    (text,) = found.broken()
    assert text.startswith('column "amount": outermost rows are more, or fewer, by a factor of ')
    with pytest.raises(InputError, match="no limit is called"):
        found.broken({"max_size": 1})
    with pytest.raises(InputError, match="no rows to validate"):
        load(model).validate(rows(0).slice(0, 0))


def test_few_rows_may_differ_by_chance(model: Path) -> None:
    """Halves of a small table agree, and so does the head of a table that is sorted by nothing."""
    table = rows(0).slice(0, 400)
    half = TableTransformer({"city": "drop"}, random_state=0).fit(table.slice(0, 200))
    assert half.validate(table.slice(200)).broken({"max_unknown_share": None}) == []
    assert load(model).validate(rows(0).slice(0, 5)).broken() == []


def test_general_columns_have_a_range_only() -> None:
    table = pa.table({"x": np.arange(1_000.0)})
    transformer = TableTransformer({"x": "general"}, random_state=0).fit(table)
    assert transformer.validate(table).broken() == []
    far = pa.table({"x": np.arange(1_000.0) + 100})
    assert transformer.validate(far).columns["x"].invalid_rows == 100


def test_other_types_of_columns_that_are_handed_through_are_told() -> None:
    rows = 400
    number, text = np.arange(rows), [f"C{row:05d}" for row in range(rows)]
    fitted_rows = {
        "key": pa.array(text),
        "note": pa.array(text),
        "place": pa.array(number),
        "x": pa.array(number * 1.1),
    }
    kinds = {"key": "id", "note": "pass", "place": "pass"}
    transformer = TableTransformer(columns=kinds).fit(pa.table(fitted_rows))
    same = {"key": pa.array(text).dictionary_encode(), "note": pa.array(text, pa.large_string())}
    others = fitted_rows | same | {"place": pa.array(number, pa.int16())}
    for agreeing in (fitted_rows, others, fitted_rows | {"note": pa.nulls(rows)}):
        assert transformer.validate(pa.table(agreeing)).broken() == []
    validation = transformer.validate(pa.table(fitted_rows | {"key": pa.array(number), "note": pa.array(number * 1.5)}))
    assert validation.broken() == [
        'column "key": holds int64, but string when it was fitted',
        'column "note": holds double, but string when it was fitted',
    ]
    assert str(validation).startswith("1 of 1 column agrees with the model; look at key, note")
    assert validation.to_dict()["other_types"]["key"] == {"type": "int64", "fitted": "string"}


def test_the_sign_of_zero_is_kept_by_categories_alone() -> None:
    signs = np.where(np.arange(600) % 3, 0.0, -0.0)
    random = np.random.default_rng(0)
    table = {
        "category": signs,
        "modal": np.where(np.arange(600) % 2, random.normal(size=600), signs),
        "step": np.where(np.arange(600) % 2, random.integers(-99, 99, 600) / 2, signs),
    }
    kinds = {"category": "categorical", "modal": {"kind": "mixed", "modal": [0.0]}, "step": "continuous"}
    transformer = TableTransformer(columns=kinds).fit(table)
    back = transformer.inverse_transform(transformer.transform(table, dtype="float64"))
    assert (np.signbit(back["category"]) == np.signbit(signs)).all()
    for name in ("modal", "step"):
        zeros = back[name][table[name] == 0]
        assert (zeros == 0).all() and not np.signbit(zeros).any(), name
