"""CTGAN and TVAE on compact rows beside ctgan's own: losses, samples, checkpoints, and several processes."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gpuvgm import TableTransformer, TrainingRows, load
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.integrations.ctgan import installed
from tests.harness.screen import Screen

ctgan = pytest.importorskip("ctgan", reason="ctgan is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

from gpuvgm.integrations import ctgan as ours  # noqa: E402
from gpuvgm.integrations.ctgan import training  # noqa: E402

DISCRETE = ["carrier", "late", "stops"]
SMALL = {ctgan.CTGAN: {"generator_dim": (16,), "discriminator_dim": (16,), "pac": 5}, ctgan.TVAE: {}}
OURS = {ctgan.CTGAN: ours.CTGAN, ctgan.TVAE: ours.TVAE}
KINDS = [ctgan.CTGAN, ctgan.TVAE]

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def made(kind, *, epochs=3, seed=5, **options):
    stock = next(one for one in KINDS if issubclass(kind, one))
    synthesizer = kind(embedding_dim=8, batch_size=200, epochs=epochs, **SMALL[stock], **options)
    synthesizer.set_random_state(seed)
    return synthesizer


def fitted(kind, rows, discrete=DISCRETE, *, epochs=3, seed=5, encoding=None, **options):
    synthesizer = made(kind, epochs=epochs, seed=seed, encoding=encoding)
    synthesizer.fit(rows, discrete, **options)
    return synthesizer


def in_order_of(rows, synthesizer, monkeypatch):
    """Give ctgan's TVAE the order of rows of ours."""
    epoch = iter(range(100))

    class Loader:
        def __init__(self, dataset, batch_size, **_):
            self.dataset, self.batch = dataset, batch_size

        def __iter__(self):
            for one in rows.batches(self.batch, epoch=next(epoch)):
                yield (torch.from_numpy(one.rows),)

    monkeypatch.setattr(ctgan.synthesizers.tvae, "DataLoader", Loader)


@pytest.mark.parametrize("discrete", [DISCRETE, []])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_samples_are_ctgans(kind, discrete, flights, monkeypatch):
    rows = flights[["delay", "distance", *discrete]]
    mine, theirs = fitted(OURS[kind], rows, discrete, encoding={"effort": "research"}), made(kind)
    if kind is ctgan.TVAE:
        np.random.seed(0)
        state = np.random.RandomState(5)
        seed = int.from_bytes(state.bytes(8), "little")
        in_order_of(mine.transformer.rows(rows, seed, columns=[]), theirs, monkeypatch)
    with installed():
        theirs.fit(rows, discrete)
    assert len(mine.loss_values) > 2
    sampled = mine.sample(450, mode="argmax") if kind is ctgan.TVAE else mine.sample(450)
    pd.testing.assert_frame_equal(mine.loss_values, theirs.loss_values, check_exact=True)
    pd.testing.assert_frame_equal(sampled, theirs.sample(450), check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_on_disk_trains_as_a_frame_in_memory(kind, flights, tmp_path):
    path = tmp_path / "flights.parquet"
    flights.to_parquet(path, index=False)
    frame = fitted(OURS[kind], flights)
    disk = fitted(OURS[kind], path, place="disk", folder=tmp_path / "rows")
    assert frame.loss_values.equals(disk.loss_values)
    one, other = frame.sample(30), disk.sample(30)
    for name in flights:
        assert (one[name].to_numpy() == other[name].to_numpy()).all()


def test_the_losses_of_an_epoch_that_was_cut_are_not_listed_twice(flights, tmp_path):
    per_epoch, path = len(flights) // 200, tmp_path / "training.pt"
    fitted(ours.CTGAN, flights, steps=per_epoch + 2, checkpoint=path)
    again = fitted(ours.CTGAN, flights, steps=2 * per_epoch, checkpoint=path, resume=True)
    assert again.loss_values["Epoch"].tolist() == [0, 1]
    pd.testing.assert_frame_equal(again.loss_values, fitted(ours.CTGAN, flights, steps=2 * per_epoch).loss_values)


@pytest.mark.parametrize("kind", OURS.values())
def test_one_name_is_no_list_of_discrete_columns(kind, flights):
    with pytest.raises(InputError, match=r'give a list of names, \["carrier"\]'):
        made(kind).fit(flights, "carrier")


@pytest.mark.parametrize(("kind", "effort"), [(ours.CTGAN, "research"), (ours.TVAE, "auto")])
def test_the_effort_of_a_fit_is_that_of_the_study(kind, effort, flights):
    for encoding, found in (({}, effort), ({"effort": "best"}, "best")):
        rows = fitted(kind, flights, encoding=encoding, steps=1)
        transformer = rows._transformer if kind is ours.CTGAN else rows.transformer
        assert {column.fit.effort for column in transformer._fitted().model_.mixtures} == {found}


def test_the_transformer_of_rows_can_be_cloned_and_stored(flights, tmp_path):
    transformer = ours.DataTransformer()
    transformer.fit(flights, DISCRETE)
    inner = transformer.rows(flights).transformer
    assert clone(inner).get_params() == inner.get_params()
    inner.save(tmp_path / "m.gpuvgm")
    np.testing.assert_array_equal(load(tmp_path / "m.gpuvgm").transform(flights), inner.transform(flights))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [3, 9])
def test_a_training_goes_on_where_it_was_cut(kind, cut, flights, tmp_path):
    def told(stage, done, total, *, last):
        seen.append((stage, done, total))
        if done == last:
            raise KeyboardInterrupt

    seen, path = [], tmp_path / "training.pt"
    fit = partial(fitted, OURS[kind], flights, epochs=2)
    whole = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=path, checkpoint_steps=3, progress=partial(told, last=cut + 1))
    before, done, total = path.read_bytes(), cut // 3 * 3, seen[0][2]
    refused = (
        rf"training\.pt: a training that was cut short is there, {done} of {total} steps: go on with resume=True, or"
    )
    with pytest.raises(InputError, match=refused):
        fit(checkpoint=path)
    assert path.read_bytes() == before
    seen.clear()
    again = fit(seed=77, checkpoint=path, resume=True, progress=partial(told, last=None))
    assert seen[0][1] == cut + 1 and seen[-1][1:] == (seen[-1][2],) * 2
    assert again.loss_values.equals(whole.loss_values)
    assert again.sample(20).equals(whole.sample(20))

    finished = fit(checkpoint=path, resume=True)
    assert finished.loss_values.equals(whole.loss_values)
    assert fit(checkpoint=path).loss_values.equals(whole.loss_values)  # over a complete one
    longer = fitted(OURS[kind], flights, epochs=3, checkpoint=path, resume=True)
    assert longer.loss_values["Epoch"].max() == 2
    with pytest.raises(InputError, match=r"another training; these differ: batch_size;"):
        other = OURS[kind](embedding_dim=8, batch_size=100, epochs=2, **SMALL[kind])
        other.fit(flights, DISCRETE, checkpoint=path, resume=True)
    with pytest.raises(InputError, match=r"these differ: columns, rows;"):
        fitted(OURS[kind], flights[:900], epochs=2, checkpoint=path, resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["training.pt"]


@pytest.mark.parametrize("kind", OURS.values())
@pytest.mark.parametrize("content", [b"", b"no checkpoint", "model", {"a": 1}], ids=["empty", "text", "model", "dict"])
def test_other_files_are_no_checkpoints(kind, content, flights, tmp_path):
    path = tmp_path / "training.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(fitted(kind, flights, steps=1) if content == "model" else content, path)
    with pytest.raises(InputError, match="no checkpoint of a training .it begins otherwise"):
        fitted(kind, flights, steps=1, checkpoint=path, resume=True)


@pytest.mark.parametrize("fault", ["flip", "cut", "short"])
@pytest.mark.parametrize("kind", OURS.values())
def test_damaged_checkpoints_are_refused(kind, fault, flights, tmp_path):
    path = tmp_path / "training.pt"
    fitted(kind, flights, steps=1, checkpoint=path)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(training.MAGIC), len(content), 12):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes({"flip": bytes(flipped), "cut": content[:place], "short": content[:30]}[fault])
        with pytest.raises(InputError, match="no checkpoint of a training .it is damaged"):
            fitted(kind, flights, steps=2, checkpoint=path, resume=True)


class Trap:
    """What runs code where a pickle of it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", OURS.values())
def test_checkpoints_run_no_code(kind, flights, tmp_path):
    path, trap = tmp_path / "training.pt", tmp_path / "run"
    body = io.BytesIO()
    torch.save({"seed": 1, "meaning": {}, "parts": {}, "done": Trap(trap)}, body)
    digest = hashlib.sha256(body.getvalue()).digest()
    for content in (body.getvalue(), training.MAGIC + digest + body.getvalue()):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no checkpoint of a training"):
            fitted(kind, flights, steps=1, checkpoint=path, resume=True)
    assert not trap.exists()


@pytest.mark.parametrize("kind", OURS.values())
def test_a_training_does_not_go_on_with_other_rows(kind, flights, tmp_path):
    path, other = tmp_path / "training.pt", flights.copy()
    fitted(kind, flights, steps=1, checkpoint=path)
    other["delay"] = other["delay"].to_numpy()[::-1]
    with pytest.raises(InputError, match="a checkpoint of another training; these differ: .*rows"):
        fitted(kind, other, steps=2, checkpoint=path, resume=True)


@pytest.mark.parametrize("kind", OURS.values())
def test_a_checkpoint_that_has_no_room_ends_no_training(kind, flights, tmp_path, monkeypatch, caplog):
    def full(path):
        if len(written) in fails:
            written.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return partial_of(path)

    path, written, fails, partial_of = tmp_path / "training.pt", [], {1, 3}, training.partial_of
    monkeypatch.setattr(training, "partial_of", full)
    whole = fitted(kind, flights, steps=3)
    again = fitted(kind, flights, steps=3, checkpoint=path, checkpoint_steps=1)
    assert again.loss_values.equals(whole.loss_values)
    told = f"{path}: the checkpoint of step 2 is not written: No space left on device"
    assert [record.getMessage() for record in caplog.records] == [told]
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left on device") as raised:
        fitted(kind, flights, steps=4, checkpoint=path, resume=True)
    assert raised.value.filename == str(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", OURS.values())
def test_a_network_warns_once_of_inferred_kinds(kind, flights):
    rows = flights.assign(zip=np.arange(len(flights)) % 700, note=[f"note {i} of the day" for i in range(len(flights))])
    with pytest.warns(InferenceWarning) as caught:
        made(kind).fit(rows, steps=1)
    assert {warning.filename for warning in caught} == {__file__}
    unseen, codes = (str(warning.message) for warning in caught if warning.category is InferenceWarning)
    assert unseen.startswith('the model does not see "note" (') and unseen.endswith(
        ': declare their kind, or "drop" if that is meant'
    )
    assert codes.startswith('by their names these numbers may be codes: "zip" (')
    fitted = TableTransformer(n_components=2)
    with pytest.warns(InferenceWarning, match="may be codes") as caught:
        fitted.fit(rows[["zip", "delay"]])
        made(kind).fit(rows[["zip", "delay"]], columns=fitted, steps=1)
    assert len([one for one in caught if one.category is InferenceWarning]) == 1


def test_a_warning_is_a_line_of_its_own_beside_the_bar(flights, tmp_path, monkeypatch, capsys):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "partial_of", full)
    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("gpuvgm")
    logger.addHandler(handler)
    try:
        with pytest.raises(OSError, match="No space left"):
            model = made(ours.TVAE, verbose=True)
            model.fit(flights, DISCRETE, steps=2, checkpoint=tmp_path / "t.pt", checkpoint_steps=1)
    finally:
        logger.removeHandler(handler)
    lines = Screen(200).write(capsys.readouterr().err).lines
    assert f"{tmp_path / 't.pt'}: the checkpoint of step 1 is not written: No space left on device" in lines


@pytest.mark.parametrize("kind", OURS.values())
@pytest.mark.parametrize(
    "content", [b"", b"no model", {"a": 1}, torch.zeros(3)], ids=["empty", "text", "dict", "tensor"]
)
def test_other_files_are_no_models(kind, content, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=rf"model\.pt: no model that {kind.__name__}\.save wrote \("):
        kind.load(path)
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "none")


@pytest.mark.parametrize("kind", OURS.values())
def test_a_place_for_no_checkpoint_is_refused_first(kind, flights, tmp_path):
    for path, told in ((tmp_path / "none" / "x.pt", "does not exist"), (tmp_path, "is a folder")):
        model = made(kind)
        with pytest.raises(InputError, match=told):
            model.fit(flights, DISCRETE, steps=1, checkpoint=path)
        assert getattr(model, "_generator", None) is None and not hasattr(model, "decoder")


@pytest.mark.parametrize("kind", OURS.values())
def test_what_is_refused_leaves_a_fitted_model_alone(kind, flights, tmp_path):
    path = tmp_path / "training.pt"
    model = fitted(kind, flights, steps=2, checkpoint=path)
    stored = pickle.dumps(model)
    with pytest.raises(InputError, match="another training; these differ"):
        model.fit(flights[:300], DISCRETE, checkpoint=path, resume=True)
    with pytest.raises(InputError, match="is read twice"):
        model.fit(iter([flights[:300], flights[300:]]), DISCRETE)
    rate = {"generator_lr": np.float32(1e-3)} if kind is ours.CTGAN else {"l2scale": np.float32(1e-3)}
    other = made(kind, **rate)
    with pytest.raises(InputError, match=r"these differ: \w+"):
        other.fit(flights, DISCRETE, checkpoint=path, resume=True)
    before = pickle.loads(stored)
    for one in (model, before):
        one.set_random_state(1)
    assert model.sample(20).equals(before.sample(20))


@pytest.mark.parametrize("kind", OURS.values())
def test_numbers_of_rows_and_steps(kind, flights, tmp_path):
    model = made(kind)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.sample(3)
    with pytest.raises(InputError, match="steps must be a whole number, at least 0"):
        model.fit(flights, DISCRETE, steps=-1)
    model.fit(flights, DISCRETE, steps=1)
    with pytest.raises(NotFittedError, match="call fit without discrete_columns"):
        _ = model.transformer_
    with pytest.raises(InputError, match="must be a whole number, at least 0"):
        model.sample(-1, out=tmp_path / "x.parquet")
    assert len(model.sample(0)) == 0


def test_a_batch_of_whole_packs(flights):
    with pytest.raises(InputError, match="batch_size=200 is no multiple of pac=7"):
        ours.CTGAN(batch_size=200, pac=7).fit(flights, DISCRETE)


@pytest.mark.parametrize("kind", OURS.values())
def test_booleans_among_numbers_come_back_as_such(kind, flights, tmp_path):
    rows = flights.assign(late=flights["late"] == flights["late"].iloc[0])
    model = fitted(kind, rows, ["carrier", "stops"], steps=3)
    frame = model.sample(700)
    model.set_random_state(5)
    model.sample(700, out=tmp_path / "sampled.parquet")
    there = pq.read_table(tmp_path / "sampled.parquet")
    assert frame["late"].dtype == bool and str(there.schema.field("late").type) == "bool"
    assert set(there["late"].to_pylist()) == {True, False}


def test_a_checkpoint_needs_a_file(flights):
    with pytest.raises(InputError, match="name its file"):
        fitted(ours.CTGAN, flights, resume=True)
    with pytest.raises(InputError, match="at least 1 step, not 0"):
        fitted(ours.CTGAN, flights, checkpoint="x", checkpoint_steps=0)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_end_within_an_epoch(kind, flights):
    synthesizer = fitted(OURS[kind], flights, steps=10, epochs=1)
    per_epoch = 7 if kind is ctgan.CTGAN else 8
    assert synthesizer.loss_values["Epoch"].iloc[-1] == 10 // per_epoch
    assert len(synthesizer.loss_values) == (2 if kind is ctgan.CTGAN else 10)


@pytest.mark.parametrize("kind", KINDS)
def test_training_rows_of_any_table(kind, flights):
    columns = {name: "categorical" for name in DISCRETE} | {"distance": "general", "delay": {"log": False}}
    transformer = TableTransformer(columns).fit(flights)
    rows = TrainingRows(transformer, flights, seed=3)
    synthesizer = fitted(OURS[kind], rows, [])
    generated = synthesizer.sample(100)
    assert dict(generated.dtypes) == dict(flights.dtypes) and len(generated) == 100
    assert generated["distance"].between(flights["distance"].min() - 1, flights["distance"].max() + 1).all()
    with pytest.raises(InputError, match='TrainingRows .* leave out "discrete_columns"'):
        fitted(OURS[kind], rows)


def test_training_rows_of_an_array(flights):
    array = flights[["delay", "distance"]].to_numpy()
    synthesizer = fitted(ours.TVAE, TrainingRows(TableTransformer().fit(array), array), [])
    assert synthesizer.sample(30).shape == (30, 2)


@pytest.mark.parametrize("options", [{"place": "disk"}, {"folder": "rows"}, {"encoding": {"effort": "auto"}}])
def test_training_rows_have_their_place(options, flights):
    rows = TrainingRows(TableTransformer().fit(flights), flights)
    with pytest.raises(InputError, match=f'TrainingRows .* leave out "{next(iter(options))}"'):
        fitted(ours.CTGAN, rows, [], **options)


def test_rows_that_are_conditioned_otherwise(flights):
    rows = TrainingRows(TableTransformer().fit(flights), flights, columns=["carrier"])
    with pytest.raises(InputError, match="leave out the argument columns of TrainingRows"):
        fitted(ours.CTGAN, rows, [])


@pytest.mark.parametrize("kind", KINDS)
def test_samples_go_to_a_file(kind, flights, tmp_path, monkeypatch):
    monkeypatch.setattr("gpuvgm.integrations.ctgan.synthesizers.SAMPLED_BYTES", 1 << 15)
    synthesizer = fitted(OURS[kind], flights, epochs=1)
    for rows in (0, 1, 200, 1234):
        synthesizer.set_random_state(8)
        written = synthesizer.sample(rows, out=tmp_path / f"{rows}.parquet")
        assert written.rows == rows == pq.read_metadata(tmp_path / f"{rows}.parquet").num_rows
        synthesizer.set_random_state(8)
        expected, found = synthesizer.sample(rows), pd.read_parquet(tmp_path / f"{rows}.parquet")
        if kind is ctgan.CTGAN:  # TVAE's noise is drawn a block of rows at a time
            for name in flights:
                assert (found[name].to_numpy() == expected[name].to_numpy()).all()
        assert set(found["carrier"]) <= set(flights["carrier"])


def test_conditions_of_a_file(flights, tmp_path):
    synthesizer = fitted(ours.CTGAN, flights)
    for given in ({}, {"condition_column": "stops", "condition_value": 2}):
        synthesizer.set_random_state(8)
        expected = synthesizer.sample(300, **given)
        synthesizer.set_random_state(8)
        synthesizer.sample(300, **given, out=tmp_path / "rows.parquet")
        assert (pd.read_parquet(tmp_path / "rows.parquet")["delay"].to_numpy() == expected["delay"].to_numpy()).all()


def test_categories_by_their_frequency(flights, tmp_path):
    synthesizer = fitted(ours.CTGAN, flights, epochs=30)
    shares, held = {}, flights["carrier"].value_counts(normalize=True)
    for logarithmic in (None, True, False):
        synthesizer.set_random_state(8)
        found = synthesizer.sample(3_000, log_frequency=logarithmic)
        shares[logarithmic] = found["carrier"].value_counts(normalize=True)
    assert shares[None].equals(shares[True])
    distances = {one: np.abs(shares[one].reindex(held.index, fill_value=0) - held).sum() for one in (True, False)}
    assert distances[False] < distances[True]
    assert synthesizer.sample(200).shape == (200, flights.shape[1])
    synthesizer.set_random_state(8)
    synthesizer.sample(3_000, log_frequency=False, out=tmp_path / "rows.parquet")
    written = pd.read_parquet(tmp_path / "rows.parquet")["carrier"].value_counts(normalize=True)
    assert written.to_dict() == shares[False].to_dict()


def test_modes_and_categories_by_their_probability(flights, tmp_path):
    synthesizer = fitted(ours.TVAE, flights, epochs=1)
    transformer, last = synthesizer.transformer, synthesizer.decoder.seq[-1]
    shares = transformer.transform(flights).mean(axis=0)
    with torch.no_grad():  # a decoder that knows the shares of the table and nothing else
        last.weight.zero_()
        last.bias.copy_(torch.from_numpy(np.log(np.maximum(shares, 1e-9))))
    expected = flights["carrier"].value_counts(normalize=True)
    drawn = synthesizer.sample(20_000)["carrier"].value_counts(normalize=True)
    assert np.abs(drawn.sub(expected, fill_value=0)).max() < 0.015  # four standard deviations
    assert synthesizer.sample(2_000, mode="argmax")["carrier"].unique().tolist() == [expected.index[0]]
    synthesizer.sample(20_000, out=tmp_path / "rows.parquet")
    written = pd.read_parquet(tmp_path / "rows.parquet")["carrier"].value_counts(normalize=True)
    assert np.abs(written.sub(expected, fill_value=0)).max() < 0.015
    with pytest.raises(InputError, match='mode must be "sample" or "argmax", got \'mean\''):
        synthesizer.sample(10, mode="mean")


@pytest.mark.parametrize("kind", KINDS)
def test_is_stored_without_rows(kind, flights, tmp_path):
    few, many = fitted(OURS[kind], flights[:300], epochs=1), fitted(OURS[kind], pd.concat([flights] * 10), epochs=1)
    sizes = [len(pickle.dumps(one)) for one in (few, many)]
    assert sizes[1] < sizes[0] + 20_000
    many.save(tmp_path / "model.pt")
    loaded = OURS[kind].load(tmp_path / "model.pt")
    for one in (many, loaded):
        one.set_random_state(1)
    assert many.sample(40).equals(loaded.sample(40))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [pd.CategoricalIndex, lambda ids: pd.MultiIndex.from_arrays([ids, range(len(ids))])])
def test_nothing_of_an_index_is_stored(kind, index, flights, tmp_path):
    ids = [f"customer{number:05d}" for number in range(len(flights))]
    rows = flights.set_axis(index(ids))
    rows.attrs = {"owner": "customer00000"}
    fitted(OURS[kind], rows, steps=1).save(tmp_path / "model.pt")
    assert b"customer" not in (tmp_path / "model.pt").read_bytes()


def test_missing_numbers_with_a_place(flights):
    rows = flights.assign(delay=flights["delay"].where(np.arange(len(flights)) % 4 > 0))
    numbered = rows[["delay", "distance"]].set_axis([0, 1], axis=1)
    for key in (0, "0"):
        fitted(ours.CTGAN, numbered, [], encoding={"columns": {key: {"modal": [None]}}}, steps=1)
    synthesizer = fitted(ours.CTGAN, rows)
    assert 0 < synthesizer.sample(500)["delay"].isna().sum() < 500


def one_of_two(rank, folder):
    """A process of a distributed training."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    for kind in KINDS:
        synthesizer = fitted(OURS[kind], f"{folder}/flights.parquet", epochs=2, seed=rank)
        seed = ours.training.Checkpoint(None, 1, resume=False).seed
        network = synthesizer._generator if kind is ctgan.CTGAN else synthesizer.decoder
        weights = torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
        np.savez(
            f"{folder}/{kind.__name__}-{rank}.npz",
            weights=weights,
            losses=synthesizer.loss_values.to_numpy(float),
            seed=np.uint64(seed),
        )
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_one_model(flights, tmp_path):
    flights.to_parquet(tmp_path / "flights.parquet", index=False)
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    for kind, losses in (("CTGAN", 2), ("TVAE", 2 * (len(flights) // 400))):
        first, second = (np.load(tmp_path / f"{kind}-{rank}.npz") for rank in range(2))
        np.testing.assert_array_equal(first["weights"], second["weights"])
        assert first["seed"] == second["seed"]  # by which rows are shuffled: each process has a share of one order
        assert len(first["losses"]) == losses
        assert not np.array_equal(first["losses"], second["losses"])  # of batches of their own
