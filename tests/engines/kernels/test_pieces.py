"""Host arrays through the device in pieces, and what happens where memory is short."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from gpuvgm.engines import get_engine
from gpuvgm.engines.base import PLAIN
from gpuvgm.engines.cuda import CudaEngine, pieces, started
from gpuvgm.engines.cuda.device import Lane
from gpuvgm.engines.cuda.pieces import in_pieces, uploaded
from gpuvgm.engines.encode import DecodeTable
from gpuvgm.engines.tables import Draw
from gpuvgm.summary import Frame
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, OutOfMemory, Resident
from tests.engines.kernels.resident import ResidentEngine
from tests.engines.kernels.ruled import RULED, decode_table, encode_table
from tests.engines.kernels.test_rows import check_encoded
from tests.engines.test_engines import draw_table, encode
from tests.harness.shapes import with_gaps
from tests.summary.test_grid import grid_of
from tests.summary.test_summary import same

pytestmark = needs_compiler
ORACLE = get_engine("auto")


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces so short that a few thousand rows are many."""
    monkeypatch.setattr(pieces.in_pieces, "__defaults__", (512, None))
    monkeypatch.setattr(pieces, "LEAST_ROWS", 64)


def test_every_row_belongs_to_one_piece() -> None:
    device, seen = EmulatedDevice(), []
    in_pieces(
        device,
        1000,
        lambda lane, piece: seen.append((next(i for i in (0, 1) if device._lanes[i] is lane), piece)),
        300,
    )
    assert [piece for _, piece in seen] == [slice(0, 300), slice(300, 600), slice(600, 900), slice(900, 1000)]
    assert [lane for lane, _ in seen] == [0, 1, 0, 1]


def test_no_rows_are_no_work() -> None:
    in_pieces(EmulatedDevice(), 0, lambda lane, piece: pytest.fail("there is nothing to do"))


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("first_row", [0, 3])
def test_pieces_change_nothing(device: EmulatedDevice, first_row: int) -> None:
    engine, x, table = CudaEngine(ORACLE, device), with_gaps(5001), draw_table()
    uniforms = np.random.default_rng(0).uniform(size=len(x))
    for draw in (Draw(5, 6, first_row), Draw(uniforms=uniforms), Draw(most_probable=True)):
        for found, wanted in zip(encode(engine, x, table, draw), encode(ORACLE, x, table, draw), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert device.uploads.count(512) >= 9
    grid, _ = grid_of(x[np.isfinite(x)])
    assert same(engine.summarise(x, grid), ORACLE.summarise(x, grid))


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("name", ["asinh, modal, step", "int64", "asinh of float32, all"])
def test_values_of_the_host_become_numbers_on_the_device(device: EmulatedDevice, name: str) -> None:
    """And back; the counts are those of all pieces, and so are the first rows."""
    of, rows = RULED[name], 3 * len(RULED[name].values)
    values, missing = np.tile(of.values, 3), None if of.missing is None else np.tile(of.missing, 3)
    values[:1030] = values[1030]  # what some sorts of rows are not among
    engine, table = CudaEngine(ORACLE, device), encode_table(of, tails=2)
    results = []
    for one in (engine, ORACLE):
        out = np.zeros(rows, np.float32), np.zeros(rows, np.int8)
        with np.errstate(all="ignore"):
            results.append((*out, one.encode(values, of.rules, table, Draw(7, 9, 3), out, missing)))
    check_encoded(*results)
    counts = results[0][2].reshape(-1, 2)
    assert counts.dtype == np.int64 and len(set(counts[counts[:, 0] > 0, 1].tolist())) > 1
    back, code = decode_table(of), np.random.default_rng(0).integers(0, 6, rows).astype(np.int8)
    decoded = []
    for one in (engine, ResidentEngine(engine)):
        out, mask = np.zeros(rows, values.dtype), np.zeros(rows, np.bool_)
        assert one.decode(results[0][0], code, of.rules, back, out, mask)[0] == -1
        decoded.append((out, mask))
    for one, other in zip(*decoded, strict=True):
        np.testing.assert_array_equal(one, other)
    grid = grid_of(of.numbers())[0]
    with np.errstate(all="ignore"):
        expected = ORACLE.summarise(values, grid, of.rules, missing)
    found = engine.summarise(values, grid, of.rules, missing)
    assert same(found, expected) and (found.modal, found.ends) == (expected.modal, expected.ends)


@pytest.mark.usefixtures("short_pieces")
def test_the_first_unknown_code_of_all_pieces_is_named(device: EmulatedDevice) -> None:
    engine, table = CudaEngine(ORACLE, device), DecodeTable(Frame(1.0, 0.0), np.zeros(3), np.ones(3), 1.0)
    code = np.zeros(2000, np.int8)
    assert engine.decode(np.zeros(2000, np.float32), code, PLAIN, table, np.empty(2000))[0] == -1
    code[[700, 1900]] = 3
    assert engine.decode(np.zeros(2000, np.float32), code, PLAIN, table, np.empty(2000))[0] == 700


@pytest.mark.usefixtures("short_pieces")
def test_short_memory_halves_the_pieces_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    device = EmulatedDevice(memory=200 * 8)
    engine, x, table = CudaEngine(ORACLE, device), with_gaps(3000), draw_table()
    found = encode(engine, x, table, Draw(1, 2))
    for one, other in zip(found, encode(ORACLE, x, table, Draw(1, 2)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert max(device.uploads) == 128
    assert [record.message for record in caplog.records] == [
        "the device's memory is short: it is given 128 rows at a time instead of 512"
    ]
    grid, _ = grid_of(x[np.isfinite(x)])
    assert same(engine.summarise(x, grid), ORACLE.summarise(x, grid))


@pytest.mark.usefixtures("short_pieces")
def test_a_device_without_room_leaves_the_work_to_the_host(caplog: pytest.LogCaptureFixture) -> None:
    engine, x, table = CudaEngine(ORACLE, EmulatedDevice(memory=100)), with_gaps(3000), draw_table()
    found = encode(engine, x, table, Draw(1, 2))
    for one, other in zip(found, encode(ORACLE, x, table, Draw(1, 2)), strict=True):
        np.testing.assert_array_equal(one, other)
    inverse, out = DecodeTable(Frame(1.0, 0.0), np.arange(3.0), np.ones(3), 1.0), np.zeros(3000)
    assert engine.decode(np.zeros(3000, np.float32), np.full(3000, 2, np.int8), PLAIN, inverse, out)[0] == -1
    assert np.all(out == 2.0)
    assert caplog.text.count("the device has no room for rows: the host does the work") == 2


def test_pieces_shorter_than_the_least_are_refused() -> None:
    device = EmulatedDevice(memory=100)
    with pytest.raises(OutOfMemory):
        in_pieces(device, 10_000, lambda lane, piece: lane.upload(np.zeros(piece.stop - piece.start)))


@pytest.mark.usefixtures("short_pieces")
def test_a_summary_that_has_no_room_is_made_by_the_host(caplog: pytest.LogCaptureFixture) -> None:
    x = with_gaps(3000)
    grid, _ = grid_of(x[np.isfinite(x)])
    assert same(CudaEngine(ORACLE, EmulatedDevice(memory=100)).summarise(x, grid), ORACLE.summarise(x, grid))
    assert "no room for the cells of a summary" in caplog.text


def test_forked_processes_work_on_the_host() -> None:
    device, x, table = EmulatedDevice(is_forked=True), with_gaps(500), draw_table()
    engine = CudaEngine(ORACLE, device)
    for one, other in zip(encode(engine, x, table, Draw(1, 2)), encode(ORACLE, x, table, Draw(1, 2)), strict=True):
        np.testing.assert_array_equal(one, other)
    grid, _ = grid_of(x[np.isfinite(x)])
    assert same(engine.summarise(x, grid), ORACLE.summarise(x, grid))
    inverse, out = DecodeTable(Frame(1.0, 0.0), np.zeros(3), np.ones(3), 1.0), np.empty(5)
    assert engine.decode(np.zeros(5, np.float32), np.zeros(5, np.int8), PLAIN, inverse, out)[0] == -1
    assert not device.launches and not device.uploads


@pytest.mark.usefixtures("short_pieces")
def test_arrays_are_copied_in_pieces_or_not_at_all(caplog: pytest.LogCaptureFixture) -> None:
    x = np.random.default_rng(0).normal(size=(2000, 3))
    device = EmulatedDevice()
    found = uploaded(device, x)
    assert isinstance(found, Resident) and len(device.uploads) == 4
    np.testing.assert_array_equal(found, x)
    assert uploaded(EmulatedDevice(memory=100), x) is None
    assert "the device has no room for 48000 bytes" in caplog.text
    forked = CudaEngine(ORACLE, EmulatedDevice(is_forked=True))
    assert ORACLE.copy_to_device(x) is None and forked.copy_to_device(x) is None


def test_a_failure_waits_for_what_was_begun() -> None:
    device = EmulatedDevice()
    out = np.zeros(4)

    def work(lane: Lane, piece: slice) -> None:
        if piece.start:
            raise ValueError("stop")
        lane.download(np.ones(4).view(Resident), out)

    with pytest.raises(ValueError, match="stop"):
        in_pieces(device, 8, work, 4)
    assert list(out) == [1.0] * 4 and not any(lane.arriving for lane in device._lanes)


def test_matrices_of_the_host_stay_there() -> None:
    device = EmulatedDevice()
    engine, matrix = CudaEngine(ORACLE, device), np.zeros((3, 2))
    engine.fill_onehot([(None, np.array([0, 1, 1], np.int8), 2)], matrix)
    np.testing.assert_array_equal(matrix, [[1, 0], [0, 1], [0, 1]])
    assert not device.launches


def test_cells_of_the_host_run_on_the_host_engine(device: EmulatedDevice) -> None:
    x, table = np.nan_to_num(with_gaps(5000)), draw_table().mixture
    weight, scatter = np.ones(5000), np.full(5000, 1e-3)
    on_host = CudaEngine(ORACLE, device).e_step(x, weight, scatter, table)
    np.testing.assert_array_equal(on_host, ORACLE.e_step(x, weight, scatter, table))
    assert not device.launches
    on_device = ResidentEngine(CudaEngine(ORACLE, device)).e_step(x, weight, scatter, table)
    np.testing.assert_allclose(on_device, on_host, rtol=1e-10, atol=1e-10 * 5000)
    assert device.launches


def test_arguments_that_a_kernel_would_misread_are_refused() -> None:
    from gpuvgm.engines.cuda.rows import decode_program

    program = decode_program(("float32", "uint8", "float64"), "linear", frozenset())
    arrays = {p.name: np.zeros(8, p.type).view(Resident) if p.pointer else 1 for p in program.parameters}
    program.check(list(arrays.values()))
    with pytest.raises(TypeError, match="takes 8 arguments, 7 are given"):
        program.check(list(arrays.values())[:-1])
    with pytest.raises(TypeError, match="scalar must be contiguous float32, not float64"):
        program.check(list({**arrays, "scalar": np.zeros(8)}.values()))
    with pytest.raises(TypeError, match="value must be contiguous"):
        program.check(list({**arrays, "value": np.zeros(16)[::2]}.values()))


def test_an_engine_starts_with_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    device = EmulatedDevice()
    monkeypatch.setattr("gpuvgm.engines.cuda.Device", lambda: device)
    assert started(ORACLE).device is device and [size for _, size in device.launches] == [1]
    monkeypatch.setattr(device, "run_rows", lambda *_: None)  # nothing is computed
    with pytest.raises(RuntimeError, match=r"instead of 1\.0"):
        started(ORACLE)


def test_engines_are_pickled_without_their_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuvgm.engines.cuda.Device", EmulatedDevice)
    engine = pickle.loads(pickle.dumps(CudaEngine(ORACLE)))
    assert engine.name == "cuda" and isinstance(engine.device, EmulatedDevice)
