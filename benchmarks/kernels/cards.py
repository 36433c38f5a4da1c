"""Speeds of devices, from what NVIDIA publishes; only atomic operations were measured.

Multiprocessors, clocks and bandwidths: data sheets of T4 (2019), A100 80GB SXM (2021), H100 SXM and H200 SXM (2023,
2024), B200 (HGX, 2024) and the Ada white paper (RTX 4090, 2022). Clocks are those that the peak rates of the data
sheets imply; under load a device may hold less (a T4 does by far).

Results a clock of a multiprocessor: CUDA C++ Programming Guide, "Throughput of native arithmetic instructions", columns
7.5, 8.0, 8.9, 9.0 and 10.0. Instructions run on pipes: "fp32" FADD, FMUL, FFMA; "multiply" IMAD (on the floating-point
pipe); "integer" sums, logic, comparisons, selections, moves; "fp64"; "special" reciprocals and conversions that
are not of 64 bits; "conversion" those that are.

Memory instructions: 16 lanes of 4 bytes a clock on Turing, 32 since (load/store units of the white papers).

An H200 was measured to do 90·10^9 atomic operations of 64 bits in its level-2 cache a second, which is one in 1.76
clocks of each of 80 slices. ASSUMED, as NVIDIA publishes no figure: slices of other devices take as long, with 16 of
them on T4, 80 on A100, H100 and H200, 36 on RTX 4090 and 96 on B200; a multiprocessor does 16 atomic operations on
shared memory a clock where no two go to one address.
"""

from __future__ import annotations

from dataclasses import dataclass

ISSUED = 128  # four schedulers, one instruction of 32 lanes a clock each
SHARED_ATOMICS = 16
ATOMIC_CLOCKS = 1.76  # of a slice of the level-2 cache


@dataclass(frozen=True, slots=True)
class Card:
    """A device.

    Parameters
    ----------
    name, architecture : str
        What it is called, and its compute capability without the point.
    multiprocessors : int
        How many it has.
    clock : float
        GHz.
    bandwidth : float
        10^9 bytes of its memory a second.
    fp32, multiply, integer, fp64, special, conversion : int
        Results a clock of a multiprocessor, by pipe.
    lanes : int
        Lanes of memory instructions a clock of a multiprocessor.
    slices : int
        Of the level-2 cache.
    """

    name: str
    architecture: str
    multiprocessors: int
    clock: float
    bandwidth: float
    fp32: int
    multiply: int
    integer: int
    fp64: int
    special: int
    conversion: int
    lanes: int
    slices: int

    @property
    def cycles(self) -> float:
        """Cycles a second of all multiprocessors together."""
        return self.multiprocessors * self.clock * 1e9


T4 = Card("T4", "75", 40, 1.59, 320, 64, 64, 64, 2, 16, 2, 16, 16)
A100 = Card("A100 80GB", "80", 108, 1.41, 2039, 64, 64, 64, 32, 16, 16, 32, 80)
RTX_4090 = Card("RTX 4090", "89", 128, 2.52, 1008, 128, 64, 64, 2, 16, 2, 32, 36)
H100 = Card("H100 SXM", "90", 132, 1.98, 3350, 128, 64, 64, 64, 16, 16, 32, 80)
H200 = Card("H200", "90", 132, 1.98, 4800, 128, 64, 64, 64, 16, 16, 32, 80)
B200 = Card("B200", "100", 148, 1.965, 8000, 128, 64, 64, 64, 16, 16, 32, 96)
CARDS = (T4, A100, RTX_4090, H100, H200, B200)
