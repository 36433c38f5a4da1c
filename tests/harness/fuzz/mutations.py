"""Ways to spoil bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[bytearray, random.Random], None]
BORDER = 4096  # bytes at either end of a file, where formats keep what they say of the rest


def flip_bit(data: bytearray, random: random.Random) -> None:
    """Turn one bit over."""
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def flip_bits(data: bytearray, random: random.Random) -> None:
    """Turn 2 to 64 bits over, anywhere."""
    for _ in range(random.randint(2, 64)):
        flip_bit(data, random)


def cut(data: bytearray, random: random.Random) -> None:
    """Cut the end off."""
    del data[random.randrange(len(data)) :]


def remove_run(data: bytearray, random: random.Random) -> None:
    """Take 1 to 4,096 bytes out."""
    start = random.randrange(len(data))
    del data[start : start + random.randint(1, 4096)]


def zero_run(data: bytearray, random: random.Random) -> None:
    """Write zeros over 1 to 4,096 bytes, as a lost sector leaves them."""
    start = random.randrange(len(data))
    stop = min(len(data), start + random.randint(1, 4096))
    data[start:stop] = bytes(stop - start)


def repeat_run(data: bytearray, random: random.Random) -> None:
    """Insert a copy of 1 to 4,096 bytes of the data elsewhere."""
    start, to = random.randrange(len(data)), random.randrange(len(data))
    data[to:to] = data[start : start + random.randint(1, 4096)]


def extreme_word(data: bytearray, random: random.Random) -> None:
    """Write an extreme 32- or 64-bit integer over some bytes, as in lengths and offsets."""
    size = random.choice((4, 8))
    start = random.randrange(max(1, len(data) - size))
    value = random.choice((0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), random.getrandbits(20)))
    data[start : start + size] = value.to_bytes(size, "little", signed=True)


MUTATIONS: tuple[Mutation, ...] = (flip_bit, flip_bit, flip_bits, cut, remove_run, zero_run, repeat_run, extreme_word)


def spoil(data: bytes, random: random.Random, near: bytes = b"") -> bytes:
    """A copy of the data with one fault; single bits are the most frequent.

    Half of the faults lie anywhere, the others at the start, at the end, or around a place where `near` stands.
    """
    start, stop = 0, len(data)
    if random.random() < 0.5:
        middle = random.choice((0, len(data), max(0, data.rfind(near)) if near else 0))
        start, stop = max(0, middle - BORDER), min(len(data), middle + BORDER)
    spoilt = bytearray(data[start:stop])
    random.choice(MUTATIONS)(spoilt, random)
    return data[:start] + bytes(spoilt) + data[stop:]
