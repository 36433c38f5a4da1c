"""What a fit says of itself."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from gpuvgm import TableTransformer
from gpuvgm.engines import native_is_built


def table() -> pd.DataFrame:
    random = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "amount <eur>": np.round(random.lognormal(3, 1.5, 2_000), 2),
            "colour": random.choice(["red", "green"], 2_000),
            "note": "dropped",
        }
    )


def test_a_report_holds_what_was_done() -> None:
    transformer = TableTransformer({"note": "drop"}, random_state=0).fit(table())
    report = transformer.fit_report_
    amount = report.columns["amount <eur>"]
    column = transformer.columns_["amount <eur>"]
    assert (report.rows, amount.step, amount.width) == (2_000, "0.01", column.width + 1)
    assert amount.modes + amount.tail_modes + amount.modal_values == column.width
    assert amount.scale == f"asinh(x / {2.0**column.codec.exponent:g})"
    assert (report.columns["colour"].kind, report.columns["colour"].width) == ("categorical", 2)
    assert report.dropped == {"note": "declared"}
    assert list(report.seconds) == ["sample and kinds", "plan", "scan", "fit"]
    assert all(seconds >= 0 for seconds in report.seconds.values())
    assert json.loads(json.dumps(report.to_dict()))["rows"] == 2_000


def test_it_reads_as_text_and_as_html(reloaded) -> None:
    transformer = TableTransformer({"note": "drop"}, random_state=0).fit(table())
    text, page = str(transformer.fit_report_), transformer.fit_report_._repr_html_()
    engine = "native, where the rows lie" if native_is_built() else "reference, where the rows lie"
    assert text.startswith(f"fitted on 2,000 rows by the engine {engine}: sample and kinds ")
    declared = TableTransformer({"note": "drop"}, engine="reference").fit(table())
    assert declared.fit_report_.engine == "reference, as asked for"
    assert "amount <eur>: float64 with" in text
    assert "amount &lt;eur&gt;" in page and "<eur>" not in page
    assert "amount &lt;eur&gt;" in transformer.schema_._repr_html_()
    assert (
        repr(transformer.columns_["colour"])
        == f'<CategoricalColumn "colour" of {transformer.columns_["colour"].type}: categorical, 2 one-hot columns>'
    )
    again = reloaded(transformer).fit_report_
    assert (again.columns, again.seconds, again.engine) == (transformer.fit_report_.columns, {}, "")
    assert again.parts == ()


def test_a_report_has_the_seconds_of_every_part(tmp_path) -> None:
    for name, rows in (("a", 5_000), ("b", 8_000)):
        table().sample(rows, replace=True, random_state=1).to_parquet(tmp_path / f"{name}.parquet")
    report = TableTransformer({"note": "drop"}, block_rows=4096).fit(tmp_path).fit_report_
    assert [(part["part"], part["first_row"], part["rows"]) for part in report.parts] == [
        ("a.parquet", 0, 4096),
        ("a.parquet", 4096, 4096),
        ("b.parquet", 8192, 4096),
        ("b.parquet", 12288, 712),
    ]
    assert all(part["seconds"] > 0 for part in report.parts)
    slowest = max(part["seconds"] for part in report.parts)
    assert str(report).splitlines()[1].startswith("4 parts: ") and f", {slowest:.3f} s from row " in str(report)
    assert report.to_dict()["parts"] == [*report.parts]
    assert len(TableTransformer({"note": "drop"}).fit(table()).fit_report_.parts) == 1


def test_there_is_none_before_a_fit() -> None:
    with pytest.raises(NotFittedError):
        _ = TableTransformer().fit_report_
