from __future__ import annotations

import pickle

import numpy as np
import pytest

from gpuvgm.integrations.ctgan import DataTransformer, installed

ctgan = pytest.importorskip("ctgan", reason="ctgan is not installed")

DISCRETE = ["carrier", "late", "stops"]
HOLDERS = [ctgan.synthesizers.ctgan, ctgan.synthesizers.tvae]
STOCK = ctgan.data_transformer.DataTransformer

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def small(kind, seed=5):
    if kind is ctgan.CTGAN:
        synthesizer = kind(8, (16,), (16,), epochs=1, batch_size=100, pac=5)
    else:
        synthesizer = kind(8, (16,), (16,), epochs=1, batch_size=100)
    synthesizer.set_random_state(seed)
    return synthesizer


def transformer_of(synthesizer):
    return synthesizer._transformer if isinstance(synthesizer, ctgan.CTGAN) else synthesizer.transformer


def held():
    return [type(module.DataTransformer()) for module in HOLDERS]


@pytest.mark.parametrize("kind", [ctgan.CTGAN, ctgan.TVAE])
def test_synthesizers_train_sample_and_are_stored(kind, flights, tmp_path):
    synthesizer = small(kind)
    with installed(threads=1):
        synthesizer.fit(flights, DISCRETE)
    assert type(transformer_of(synthesizer)) is DataTransformer
    generated = synthesizer.sample(130)
    assert generated.shape == (130, flights.shape[1])
    assert dict(generated.dtypes) == dict(flights.dtypes)
    assert set(generated["carrier"]) <= set(flights["carrier"])
    assert generated["delay"].between(-100, 600).all()

    synthesizer.save(tmp_path / "synthesizer.pkl")
    loaded = kind.load(tmp_path / "synthesizer.pkl")
    again = kind.load(tmp_path / "synthesizer.pkl")
    for one in (loaded, again):
        one.set_random_state(9)
    assert loaded.sample(20).equals(again.sample(20))


def test_sampling_under_a_condition(flights):
    with installed():
        synthesizer = small(ctgan.CTGAN)
        synthesizer.fit(flights, DISCRETE)
        for column, value in [("carrier", "B6"), ("late", True), ("stops", 2)]:
            assert len(synthesizer.sample(40, condition_column=column, condition_value=value)) == 40
        with pytest.raises(ValueError, match="ZZ"):
            synthesizer.sample(40, condition_column="carrier", condition_value="ZZ")


@pytest.mark.parametrize("kind", [ctgan.CTGAN, ctgan.TVAE])
def test_runs_repeat(kind, flights):
    samples = []
    for _ in range(2):
        synthesizer = small(kind)
        with installed():
            synthesizer.fit(flights, DISCRETE)
        samples.append(synthesizer.sample(50))
    assert samples[0].equals(samples[1])


def test_names_are_given_back():
    assert held() == [STOCK, STOCK]
    with installed(effort="best"):
        assert held() == [DataTransformer, DataTransformer]
        assert ctgan.data_transformer.DataTransformer is STOCK
    assert [module.DataTransformer for module in HOLDERS] == [STOCK, STOCK]


def test_names_are_given_back_after_an_error():
    with pytest.raises(RuntimeError), installed():
        raise RuntimeError
    assert held() == [STOCK, STOCK]
    with pytest.raises(TypeError), installed(efort="best"):
        pass
    assert held() == [STOCK, STOCK]


def test_the_innermost_context_decides():
    def effort():
        return ctgan.synthesizers.tvae.DataTransformer()._settings["effort"]

    with installed():
        with installed(effort="best"):
            assert effort() == "best"
        assert effort() == "research"
    assert held() == [STOCK, STOCK]


def test_contexts_may_end_in_any_order():
    first, second = installed(effort="best"), installed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert held() == [DataTransformer, DataTransformer]
    second.__exit__(None, None, None)
    assert held() == [STOCK, STOCK]


def test_synthesizers_of_ctgan_alone_are_stored_as_ever(flights, tmp_path):
    synthesizer = small(ctgan.CTGAN)
    synthesizer.fit(flights[["delay", "carrier"]][:400], ["carrier"])
    with installed():
        synthesizer.save(tmp_path / "stock.pkl")
        loaded = ctgan.CTGAN.load(tmp_path / "stock.pkl")
        assert type(pickle.loads(pickle.dumps(loaded._transformer))) is STOCK
        assert len(loaded.sample(10)) == 10


def test_fits_of_arrays(flights):
    with installed():
        synthesizer = small(ctgan.TVAE)
        synthesizer.fit(flights[["delay", "distance"]].to_numpy(), ())
    assert isinstance(synthesizer.sample(10), np.ndarray)
