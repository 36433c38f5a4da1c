"""CTGAN's own training loop over compact rows: the losses of the whole matrix, and those of CTGAN's own sampler."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from gpuvgm import TrainingRows
from gpuvgm.integrations.ctgan import DataSampler, DataTransformer, installed

ctgan = pytest.importorskip("ctgan", reason="ctgan is not installed")
Stock = pytest.importorskip("ctgan.data_sampler", reason="ctgan is not installed").DataSampler

DISCRETE = ["carrier", "late", "stops"]

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def encoded(flights, *, compact):
    transformer = DataTransformer(compact=compact)
    transformer.fit(flights, DISCRETE)
    np.random.seed(3)
    return transformer, transformer.transform(flights)


@pytest.fixture(scope="module")
def whole(flights):
    return encoded(flights, compact=False)


@pytest.fixture(scope="module")
def few(flights):
    return encoded(flights, compact=True)


def test_rows_are_those_of_the_matrix(whole, few):
    matrix, compact = whole[1].astype(np.float32), few[1]
    assert isinstance(compact, TrainingRows)
    assert (len(compact), compact.width) == matrix.shape
    for rows in ([5, 5, 0], slice(10, 20), np.arange(len(matrix))[::-1]):
        np.testing.assert_array_equal(compact[rows], matrix[rows], strict=True)


@pytest.mark.parametrize("log_frequency", [True, False])
def test_draws_are_those_of_ctgan(whole, few, log_frequency):
    """Number for number: the global generator is left where CTGAN's sampler leaves it."""
    (transformer, matrix), (_, compact) = whole, few
    info = transformer.output_info_list
    ours, theirs = DataSampler(compact, info, log_frequency), Stock(matrix, info, log_frequency)
    assert ours.dim_cond_vec() == theirs.dim_cond_vec()
    drawn = []
    for sampler, rows in ((ours, compact), (theirs, matrix), (DataSampler(matrix, info, log_frequency), matrix)):
        np.random.seed(8)
        found = list(sampler.sample_condvec(700))
        found.append(sampler.sample_data(rows, 700, found[2], found[3]).astype(np.float32))
        found.append(sampler.sample_data(rows, 50, None, None).astype(np.float32))
        found.append(sampler.sample_original_condvec(300))
        drawn.append([*found, np.random.rand(3)])
    for other in drawn[1:]:
        for one, two in zip(drawn[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_tables_without_discrete_columns(flights):
    transformer = DataTransformer(compact=True)
    transformer.fit(flights[["delay", "distance"]])
    rows = transformer.transform(flights[["delay", "distance"]])
    sampler = DataSampler(rows, transformer.output_info_list, True)
    assert sampler.sample_condvec(5) is None and sampler.sample_original_condvec(5) is None
    assert sampler.dim_cond_vec() == 0
    assert sampler.sample_data(rows, 7, None, None).shape == (7, rows.width)


def test_conditions_stand_in_their_own_column(few, flights):
    transformer, compact = few
    sampler, place = DataSampler(compact, transformer.output_info_list, True), 0
    for column in DISCRETE:
        values = flights[column].unique()
        for number, value in enumerate(values):
            told = transformer.convert_column_name_value_to_id(column, value)
            vectors = sampler.generate_cond_from_condition_column_info(told, 4)
            assert vectors.shape == (4, sampler.dim_cond_vec())
            assert np.all(np.argmax(vectors, axis=1) == place + number) and np.all(vectors.sum(axis=1) == 1)
        place += len(values)


def test_a_category_that_no_row_holds_shifts_no_other():
    info = [[SimpleNamespace(dim=3, activation_fn="softmax")]]
    matrix = np.eye(3)[[0, 2, 2, 2]]
    vectors = DataSampler(matrix, info, False).sample_original_condvec(400)
    assert vectors[:, 1].sum() == 0 and 250 < vectors[:, 2].sum() < 350


def trained(flights, **options):
    synthesizer = ctgan.CTGAN(8, (16,), (16,), epochs=3, batch_size=100, pac=5)
    synthesizer.set_random_state(5)
    with installed(**options):
        synthesizer.fit(flights, DISCRETE)
    return synthesizer


def test_losses_are_those_of_the_whole_matrix(flights):
    compact, whole = trained(flights), trained(flights, compact=False)
    assert isinstance(compact._data_sampler, DataSampler)
    assert compact.loss_values.equals(whole.loss_values)
    assert compact.sample(60).equals(whole.sample(60))


def test_losses_are_those_of_ctgans_sampler(flights, monkeypatch):
    ours = trained(flights, compact=False)
    with installed(compact=False):
        monkeypatch.setattr(ctgan.synthesizers.ctgan, "DataSampler", Stock)
        theirs = ctgan.CTGAN(8, (16,), (16,), epochs=3, batch_size=100, pac=5)
        theirs.set_random_state(5)
        theirs.fit(flights, DISCRETE)
    assert isinstance(theirs._data_sampler, Stock)
    assert ours.loss_values.equals(theirs.loss_values)


def test_a_stored_synthesizer_holds_no_rows(flights):
    synthesizer = trained(flights)
    stored = pickle.dumps(synthesizer._data_sampler)
    assert len(stored) < 2000
    sampler = pickle.loads(stored)
    assert sampler.sample_original_condvec(10).shape == (10, sampler.dim_cond_vec())
    with pytest.raises(RuntimeError, match="fit it anew"):
        sampler.sample_data(None, 1, np.array([0]), np.array([0]))


def test_names_are_given_back():
    module = ctgan.synthesizers.ctgan
    with installed():
        assert module.DataSampler is DataSampler
        assert ctgan.data_sampler.DataSampler is Stock
        assert not ctgan.synthesizers.tvae.DataTransformer()._compact
        assert module.DataTransformer()._compact
    assert module.DataSampler is Stock
