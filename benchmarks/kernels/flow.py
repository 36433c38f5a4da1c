"""Ways through a kernel: its blocks, its loops, and the instructions that an ordinary thread runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from benchmarks.kernels.disassembly import Instruction, Listing

_ALSO_PREDICATED = re.compile(r"!?U?P[0-9T]")
#: How much a wide access counts in the choice of a way, against one for each instruction.
PREFERENCE = 100_000


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions `first` ... `end` - 1, which run one after the other, and the blocks that may follow."""

    first: int
    end: int
    successors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A natural loop: the block it is entered by, and all of its blocks."""

    header: int
    blocks: frozenset[int]


def split(listing: Listing) -> list[Block]:
    """Blocks of a kernel without its subroutines, in order of addresses."""
    own = listing.own()
    targets = {i: target for i, instruction in enumerate(own) if (target := listing.target(instruction)) is not None}
    starts = {0, *targets.values(), *(i + 1 for i in targets)}
    starts |= {i + 1 for i, instruction in enumerate(own) if instruction.name in ("EXIT", "RET")}
    edges = sorted(start for start in starts if start < len(own))
    number = {start: index for index, start in enumerate(edges)}
    ends = [*edges[1:], len(own)]
    return [
        Block(first, end, tuple(number[s] for s in _followers(listing, end - 1) if s in number))
        for first, end in zip(edges, ends, strict=True)
    ]


def _followers(listing: Listing, last: int) -> list[int]:
    """Indices of the instructions that may come after one."""
    instruction = listing.instructions[last]
    if instruction.name in ("EXIT", "RET"):
        return [last + 1] if instruction.predicate else []
    target = listing.target(instruction)
    if target is None:
        return [last + 1]
    special = instruction.name == "BRA" and len(instruction.modifiers) > 0  # decided by the warp
    unsure = instruction.predicate or _ALSO_PREDICATED.match(instruction.operands)
    return [target, last + 1] if unsure or special else [target]


def loops(listing: Listing) -> list[Loop]:
    """Natural loops, the largest first; those with one header are one loop.

    Turing waits for the other threads of a warp in loops that vote and yield; those are left out.
    """
    found = _natural_loops(split(listing))
    return [loop for loop in found if not {"YIELD", "VOTE"} <= {i.name for i in instructions_of(listing, loop)[:8]}]


def _natural_loops(blocks: Sequence[Block]) -> list[Loop]:
    dominators = _dominators(blocks)
    found: dict[int, set[int]] = {}
    for index, block in enumerate(blocks):
        for header in block.successors:
            if header in dominators[index] and header != index:
                found.setdefault(header, {header}).update(_reaching(blocks, index, header))
            elif header == index and header in dominators[index] and block.end - block.first > 1:
                found.setdefault(header, {header})
    size = {header: sum(blocks[b].end - blocks[b].first for b in inside) for header, inside in found.items()}
    return [Loop(h, frozenset(found[h])) for h in sorted(found, key=lambda h: -size[h])]


def _predecessors(blocks: Sequence[Block]) -> list[list[int]]:
    before: list[list[int]] = [[] for _ in blocks]
    for index, block in enumerate(blocks):
        for successor in block.successors:
            before[successor].append(index)
    return before


def _reaching(blocks: Sequence[Block], end: int, header: int) -> set[int]:
    """Blocks from which `end` is reached without passing the header."""
    before, inside, waiting = _predecessors(blocks), {header}, [end]
    while waiting:
        block = waiting.pop()
        if block not in inside:
            inside.add(block)
            waiting += before[block]
    return inside


def _dominators(blocks: Sequence[Block]) -> list[set[int]]:
    """For each block those that every way to it passes; nothing for blocks that cannot be reached."""
    order = _reachable(blocks)
    before = _predecessors(blocks)
    everything = set(order)
    found = [set(everything) if b in everything else set() for b in range(len(blocks))]
    found[0] = {0}
    changed = True
    while changed:
        changed = False
        for block in order:
            if block == 0:
                continue
            common = set.intersection(*(found[b] for b in before[block] if b in everything)) | {block}
            if common != found[block]:
                found[block], changed = common, True
    return found


def _reachable(blocks: Sequence[Block]) -> list[int]:
    seen, waiting = {0}, [0]
    while waiting:
        for successor in blocks[waiting.pop()].successors:
            if successor not in seen:
                seen.add(successor)
                waiting.append(successor)
    return sorted(seen)


def instructions_of(listing: Listing, loop: Loop) -> list[Instruction]:
    """Instructions of a loop."""
    blocks = split(listing)
    return [i for b in sorted(loop.blocks) for i in listing.instructions[blocks[b].first : blocks[b].end]]


def ordinary_way(
    listing: Listing, within: Loop | None = None, avoided: Collection[str] = ()
) -> tuple[Instruction, ...]:
    """Instructions that a thread runs from entry to exit, or in one turn of a loop.

    Every loop is run through once. Where ways part, the one with wide accesses to memory is taken instead of the one
    that goes element by element (ends of arrays), the one around a subroutine instead of the one into it (slow
    divisions), and else the longer one.

    Parameters
    ----------
    listing : Listing
        The kernel.
    within : Loop, optional
        One of its loops.
    avoided : collection of str
        Names of instructions that an ordinary row has no part in; "LOOP" for any loop inside of `within`.
    """
    blocks = split(listing)
    start = 0 if within is None else within.header
    allowed = set(range(len(blocks))) if within is None else set(within.blocks)
    dominators = _dominators(blocks)
    inside = [loop.blocks for loop in _natural_loops(blocks) if within is not None and loop.blocks < within.blocks]
    repeated = frozenset().union(*inside) if "LOOP" in avoided else frozenset()

    @cache
    def best(index: int) -> tuple[int, tuple[int, ...]]:
        block = blocks[index]
        onward = [s for s in block.successors if s in allowed and s not in dominators[index] and s != start]
        ways = [best(s) for s in onward]
        value, way = max(ways) if ways else (0, ())
        here = _value(listing.instructions[block.first : block.end], avoided) - 10 * PREFERENCE * (index in repeated)
        return value + here, (index, *way)

    _, way = best(start)
    return tuple(i for index in way for i in listing.instructions[blocks[index].first : blocks[index].end])


def _value(instructions: Collection[Instruction], avoided: Collection[str]) -> int:
    """What a block counts in the choice of a way."""
    value = len(instructions)
    for instruction in instructions:
        if (instruction.name == "CALL" and "`($" in instruction.operands) or instruction.name in avoided:
            value -= 10 * PREFERENCE
        elif instruction.name in ("LDG", "STG") and "128" in instruction.modifiers:
            value += PREFERENCE
        elif instruction.name in ("LDG", "STG") and {"U8", "U16", "S8", "S16"} & set(instruction.modifiers):
            value -= PREFERENCE
    return value
