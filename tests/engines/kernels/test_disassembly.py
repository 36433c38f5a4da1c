"""The reader of disassembled kernels, and the arithmetic of predictions: no compiler, no device."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.kernels import prediction
from benchmarks.kernels.cards import ATOMIC_CLOCKS, CARDS, H200, T4
from benchmarks.kernels.disassembly import Listing, parse

#: A kernel with a loop: its rows come in one access or two, are divided, and a subroutine helps with odd divisors.
TEXT = """
//--------------------- .text.other                 --------------------------
	.section	.text.other,"ax",@progbits
other:
.text.other:
        /*0000*/                   EXIT ;
//--------------------- .text.rows                  --------------------------
	.section	.text.rows,"ax",@progbits
	.align	128
rows:
.text.rows:
        /*0000*/                   S2R R0, SR_TID.X ;
        /*0010*/              @!P0 EXIT ;
.L_x_0:
        /*0020*/               @P1 BRA `(.L_x_1) ;
        /*0030*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0040*/                   BRA `(.L_x_2) ;
.L_x_1:
        /*0050*/                   LDG.E.64 R4, desc[UR4][R2.64] ;
        /*0060*/                   LDG.E.64 R6, desc[UR4][R2.64+0x8] ;
        /*0070*/                   IADD3 R9, R9, 0x1, RZ ;
.L_x_2:
        /*0080*/                   MUFU.RCP64H R9, R5 ;
        /*0090*/                   DFMA R8, R4, -R8, 1 ;
        /*00a0*/               @P1 BRA P5, `(.L_x_3) ;
        /*00b0*/                   MOV R2, 0xd0 ;
        /*00c0*/                   CALL.REL.NOINC `($__internal_0_$__cuda_sm20_div_rn_f64_full) ;
.L_x_3:
        /*00d0*/                   STG.E.64 desc[UR4][R2.64], R8 ;
        /*00e0*/              @!P0 BRA `(.L_x_0) ;
        /*00f0*/                   EXIT ;
        .type           $__internal_0_$__cuda_sm20_div_rn_f64_full,@function
$__internal_0_$__cuda_sm20_div_rn_f64_full:
        /*0100*/                   DMUL.RP R4, R4, R4 ;
        /*0110*/                   RET.REL.NODEC R2 `(rows) ;
.L_x_4:
        /*0120*/                   BRA `(.L_x_4);
        /*0130*/                   NOP;
        /*0140*/                   NOP;
//--------------------- .nv.info                    --------------------------
        /*0000*/                   DADD R0, R0, R0 ;
"""


@pytest.fixture
def listing() -> Listing:
    return parse(TEXT, "rows")


def test_listing_holds_one_kernel_and_knows_its_subroutines(listing: Listing) -> None:
    own = [i.opcode for i in listing.own()]
    assert (own[0], own[1], own[-1]) == ("S2R", "EXIT", "EXIT") and len(own) == 16
    assert [i.opcode for i in listing.instructions[16:]] == ["DMUL.RP", "RET.REL.NODEC", "BRA"]
    load = listing.instructions[3]
    assert (load.name, load.modifiers, load.operands) == ("LDG", ("E", "128"), "R4, desc[UR4][R2.64]")
    assert own.count("LDG.E.64") == 2


def test_kernel_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no kernel third"):
        parse(TEXT, "third")


def work(**instructions: float) -> prediction.Work:
    counts = {kind: instructions.get(kind.replace(" ", "_"), 0.0) for kind in prediction.CLASSES}
    return prediction.Work("rows", "", 9.6, counts, 0.0)


def test_limit_is_the_unit_that_needs_longest() -> None:
    found = prediction.predict(work(integer=1.0), H200)
    assert (found.limit, found.time) == ("memory", pytest.approx(2.0))
    found = prediction.predict(work(fp64=64.0), H200)
    assert (found.limit, found.time) == ("fp64", pytest.approx(1e3 / 132 / 1.98))
    found = prediction.predict(work(fp64=64.0), T4)
    assert (found.limit, found.time) == ("fp64", pytest.approx(32e3 / 40 / 1.59))
    found = prediction.predict(work(fp64=30.0, integer=34.0, fp32=64.0, control=128.0), H200)
    assert (found.limit, found.time) == ("issue", pytest.approx(2e3 / 132 / 1.98))
    found = prediction.predict(work(atomic=2.0), dataclasses.replace(H200, slices=1))
    assert (found.limit, found.time) == ("atomics", pytest.approx(2e3 * ATOMIC_CLOCKS / 1.98))


def test_cards_are_those_of_the_architectures_that_are_compiled() -> None:
    from benchmarks.kernels.compile import ARCHITECTURES

    assert {card.architecture for card in CARDS} <= set(ARCHITECTURES)
    peak = {card.name: 2e-3 * card.fp64 * card.multiprocessors * card.clock for card in CARDS}
    published = {"A100 80GB": 9.7, "H100 SXM": 33.5, "H200": 33.5, "B200": 37.0}  # 10^12 a second, data sheets
    assert {name: peak[name] for name in published} == pytest.approx(published, rel=0.02)
