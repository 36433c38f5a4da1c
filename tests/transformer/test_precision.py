"""precision="float32" of a whole table: where it is said, kept and refused, and what it changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from gpuvgm import BayesianGaussianMixture, TableTransformer, load
from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.table.model_file import fingerprint
from tests.cli.running import document, invoke
from tests.shapes import shape

ROWS = 4_000
SETTINGS = {"effort": "research", "max_iter": 20, "n_components": 5}


def table() -> dict[str, np.ndarray]:
    x = shape("lognormal", ROWS)
    return {
        "x": np.where(np.arange(ROWS) % 50 == 3, np.nan, x),
        "when": (1_600_000_000_000_000_000 + 10**9 * np.arange(ROWS)).astype("datetime64[ns]"),
        "whole": np.random.default_rng(0).integers(0, 10**6, ROWS),
        "word": np.array(["a", "b"] * (ROWS // 2)),
    }


def fitted(precision: str = "float32", **settings: object) -> TableTransformer:
    return TableTransformer(precision=precision, tails="exact", **SETTINGS, **settings).fit(table())  # type: ignore[arg-type]


def test_it_changes_the_last_digits_of_transform_and_nothing_else() -> None:
    single, double = fitted("float32"), fitted("float64")
    assert fingerprint(single.model_) == fingerprint(double.model_)
    for name, column in double.columns_.items():
        if name != "word":
            np.testing.assert_array_equal(single.columns_[name].means, column.means)
            assert single.columns_[name].rules.precision == "float32"
    differ = 0
    for mode in ("argmax", "sample"):
        ours, theirs = (t.transform(table(), mode=mode, dtype="float64") for t in (single, double))
        for name in ours:
            if name.endswith(".mode"):
                assert np.mean(ours[name] == theirs[name]) >= 0.999
        for name in ("x", "when", "whole"):
            agree = ours[f"{name}.mode"] == theirs[f"{name}.mode"]
            z, expected = ours[f"{name}.scalar"][agree], theirs[f"{name}.scalar"][agree]
            np.testing.assert_allclose(z, expected, rtol=1e-6, atol=1e-6)
            differ += np.count_nonzero(z != expected)
    assert differ > ROWS


def test_round_trip() -> None:
    transformer = fitted()
    back = transformer.inverse_transform(transformer.transform(table()))
    column = transformer.columns_["x"]
    np.testing.assert_allclose(back["x"], table()["x"], rtol=0, atol=column.resolution)
    np.testing.assert_array_equal(back["word"], table()["word"])
    assert np.max(np.abs(back["whole"] - table()["whole"])) <= transformer.columns_["whole"].resolution


def test_same_rows_for_any_block_engine_and_thread() -> None:
    one = fitted(engine="reference").transform(table())
    for settings in ({"block_rows": 1000, "threads": 3}, {"block_rows": 4096, "threads": 1}):
        other = fitted(**settings).transform(table())
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_uniforms_of_the_caller() -> None:
    transformer = fitted()
    uniforms = np.random.default_rng(3).uniform(size=ROWS)
    uniforms[:2] = [0, np.nextafter(1, 0)]
    first, second = (
        transformer.transform(table(), uniforms={"x": given})
        for given in (uniforms, np.floor(uniforms * 2**24) / 2**24)
    )
    np.testing.assert_array_equal(first["x.mode"], second["x.mode"])
    assert np.any(first["x.mode"] != transformer.transform(table())["x.mode"])


def test_a_column_may_have_its_own() -> None:
    transformer = TableTransformer({"x": {"precision": "float32"}}, **SETTINGS).fit(table())
    precisions = {name: getattr(c, "rules", None) for name, c in transformer.columns_.items()}
    assert precisions["x"].precision == "float32"
    assert precisions["whole"].precision == "float64"


def test_it_is_kept(tmp_path: Path) -> None:
    transformer = fitted()
    assert clone(transformer).get_params()["precision"] == "float32"
    for path in (tmp_path / "m.gpuvgm", tmp_path / "folder"):
        transformer.save(path, summaries=True)
        again = load(path)
        assert again.precision == again.columns_["x"].rules.precision == "float32"
        for name, values in transformer.transform(table()).items():
            np.testing.assert_array_equal(again.transform(table())[name], values)
        assert again.partial_fit(table()).columns_["x"].rules.precision == "float32"


def test_command_line(tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    invoke("generate", source, "--rows", "3000")
    settings = tmp_path / "options.toml"
    settings.write_text('[fit]\nprecision = "float32"\n')
    arguments = ("fit", source, "--model", tmp_path / "m.gpuvgm", "--effort", "research")
    for given, env, expected in (
        ((), {}, "float64"),
        (("--precision", "float32"), {}, "float32"),
        ((), {"GPUVGM_PRECISION": "float32"}, "float32"),
        (("--config", settings), {}, "float32"),
        (("--config", settings, "--precision", "float64"), {}, "float64"),
    ):
        assert document(*arguments, *given, env=env)["columns"]["Amount"]["precision"] == expected
        assert document("info", tmp_path / "m.gpuvgm")["columns"]["Amount"]["precision"] == expected
    assert "--precision" in invoke(*arguments, "--precision", "half", code=2).stderr


@pytest.mark.parametrize("wrong", ["float16", "double", None, 32, np.float32])
def test_other_values_are_refused(wrong: object) -> None:
    with pytest.raises(InputError, match='precision must be "float64" or "float32"'):
        TableTransformer(precision=wrong).fit(table())  # type: ignore[arg-type]
    with pytest.raises(InputError, match='column "x".*precision'):
        TableTransformer({"x": {"kind": "continuous", "precision": wrong}}).fit(table())


def test_columns_that_float32_cannot_hold_are_refused_at_fit(tmp_path: Path) -> None:
    rows = {"x": 1e-305 * shape("uniform", ROWS), "y": shape("uniform", ROWS)}
    with pytest.raises(ColumnsFailed, match='column "x".*float32.*precision="float64"'):
        TableTransformer(precision="float32", **SETTINGS).fit(rows)  # type: ignore[arg-type]
    TableTransformer({"x": {"precision": "float64"}}, precision="float32", **SETTINGS).fit(rows)  # type: ignore[arg-type]


def test_the_estimator_says_why_it_has_only_float64() -> None:
    with pytest.raises(InputError, match="a fit sums over rows"):
        BayesianGaussianMixture(precision="float32").fit(np.arange(9.0)[:, None])
    with pytest.raises(ValueError, match="The 'precision' parameter"):
        BayesianGaussianMixture(precision="float16").fit(np.arange(9.0)[:, None])
