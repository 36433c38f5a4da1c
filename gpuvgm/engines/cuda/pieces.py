"""Host arrays through the device in pieces: two lanes take turns, so that copies and kernels overlap."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from gpuvgm.engines.cuda.device import Device, Lane

PIECE_ROWS = 1 << 20  # rows of a piece: 8 MiB of float64, long enough to hide what a launch costs
LEAST_ROWS = 1 << 12  # a device without room for so few is of no use
_LOG = logging.getLogger("gpuvgm")


def in_pieces(
    device: Device,
    rows: int,
    work: Callable[[Lane, slice], None],
    piece_rows: int = PIECE_ROWS,
    lanes: Sequence[Lane] | None = None,
) -> None:
    """Do some work on all rows, a piece at a time.

    Where the device has no room for a piece, pieces become half as long, which is logged once a call.

    Parameters
    ----------
    device : Device
        Device of the work.
    rows : int
        Number of rows.
    work : callable
        Given a lane and the rows of a piece, begins to upload, compute and download it. It may be called again for a
        piece that did not fit.
    piece_rows : int
        Rows of a piece, a multiple of 4.
    lanes : sequence of Lane, optional
        Lanes that take the pieces in turn; by default two are borrowed.

    Raises
    ------
    MemoryError
        Where not even `LEAST_ROWS` rows find room; the device's own exception.
    """
    if lanes is None:
        with device.lanes() as pair:
            in_pieces(device, rows, work, piece_rows, pair)
        return
    start, turn, full_rows = 0, 0, piece_rows
    try:
        while start < rows:
            piece = slice(start, min(start + piece_rows, rows))
            lane = lanes[turn % len(lanes)]
            lane.wait()
            try:
                with lane:
                    work(lane, piece)
            except device.out_of_memory:
                for lane in lanes:
                    lane.wait()
                device.release_memory()
                if piece_rows // 2 < LEAST_ROWS:
                    raise
                piece_rows //= 2
                continue
            start, turn = piece.stop, turn + 1
    finally:
        for lane in lanes:
            lane.wait()
    if piece_rows < full_rows:
        _LOG.warning("the device's memory is short: it is given %d rows at a time instead of %d", piece_rows, full_rows)


def uploaded(device: Device, array: NDArray[Any]) -> Any | None:
    """Copy of an array on the device that is current here, made in pieces; None where there is no room for it.

    Parameters
    ----------
    device : Device
        Device to copy to.
    array : ndarray of shape (rows, ...)
        Array to copy.
    """
    try:
        copy = device.xp.empty(array.shape, array.dtype)

        def work(lane: Lane, piece: slice) -> None:
            copy[piece] = lane.upload(array[piece])

        with device.lanes(on_current=True) as lanes:
            in_pieces(device, len(array), work, lanes=lanes)
    except device.out_of_memory:
        device.release_memory()
        _LOG.warning("the device has no room for %d bytes of rows: the host works on them", array.nbytes)
        return None
    return copy
