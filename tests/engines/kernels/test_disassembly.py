"""Readers of disassembled kernels and of their ways, and the arithmetic of predictions: no compiler, no device."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.kernels import flow, prediction
from benchmarks.kernels.budget import Compiled
from benchmarks.kernels.cards import CARDS, H200, T4
from benchmarks.kernels.disassembly import Instruction, Listing, Resources, parse
from gpuvgm.engines.cuda.programs import Parameter, Program

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


def instruction(opcode: str, operands: str = "", predicate: str = "") -> Instruction:
    return Instruction(0, predicate, opcode, operands)


def test_listing_holds_one_kernel_and_knows_its_subroutines(listing: Listing) -> None:
    assert [i.address for i in listing.own()] == list(range(0, 0x100, 16))
    assert [i.opcode for i in listing.subroutines()] == ["DMUL.RP", "RET.REL.NODEC", "BRA"]
    second = listing.instructions[1]
    assert (second.predicate, second.opcode, second.operands) == ("@!P0", "EXIT", "")
    load = listing.instructions[3]
    assert (load.name, load.modifiers, load.operands) == ("LDG", ("E", "128"), "R4, desc[UR4][R2.64]")
    assert listing.opcodes()["LDG.E.64"] == 2
    assert listing.opcodes()["DMUL.RP"] == 0


def test_kernel_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no kernel third"):
        parse(TEXT, "third")


def test_loop_is_found(listing: Listing) -> None:
    (loop,) = flow.loops(listing)
    inside = flow.instructions_of(listing, loop)
    assert (inside[0].address, inside[-1].address) == (0x20, 0xE0)


def test_waiting_for_other_threads_is_no_loop(listing: Listing) -> None:
    waiting = TEXT.replace("LDG.E.128 R4, desc[UR4][R2.64]", "YIELD").replace("BRA `(.L_x_2)", "VOTE.ANY R2, PT, PT")
    assert len(flow.loops(parse(waiting, "rows"))) == 0
    assert len(flow.loops(listing)) == 1


def test_ordinary_way_is_the_wide_one_without_subroutines(listing: Listing) -> None:
    way = [i.address for i in flow.ordinary_way(listing)]
    assert way == [0x00, 0x10, 0x20, 0x30, 0x40, 0x80, 0x90, 0xA0, 0xD0, 0xE0, 0xF0]
    (loop,) = flow.loops(listing)
    assert [i.address for i in flow.ordinary_way(listing, loop)] == way[2:-1]


def test_call_of_what_is_no_subroutine_is_a_branch() -> None:
    text = TEXT.replace("@!P0 BRA `(.L_x_0)", "@P0 CALL.REL.NOINC `(.L_x_5)").replace(
        "EXIT ;\n        .type", "BRA `(.L_x_0) ;\n.L_x_5:\n        /*00f8*/                   EXIT ;\n        .type"
    )
    (loop,) = flow.loops(parse(text, "rows"))
    assert [i.opcode for i in flow.instructions_of(parse(text, "rows"), loop)][-2:] == ["CALL.REL.NOINC", "BRA"]


def test_ordinary_way_is_the_longer_one_and_avoids_what_it_is_told_to() -> None:
    text = TEXT.replace("LDG.E.128", "LDG.E.64")
    way = [i.address for i in flow.ordinary_way(parse(text, "rows"))]
    assert way[:6] == [0x00, 0x10, 0x20, 0x50, 0x60, 0x70]
    way = [i.address for i in flow.ordinary_way(parse(text, "rows"), avoided=("IADD3",))]
    assert way[:5] == [0x00, 0x10, 0x20, 0x30, 0x40]


@pytest.mark.parametrize(
    ("opcode", "kind"),
    [
        ("DFMA", "fp64"), ("DSETP.GT.AND", "fp64"), ("FFMA", "fp32"), ("FMUL.FTZ", "fp32"), ("FSETP.GT.AND", "integer"),
        ("FSEL", "integer"), ("IMAD.WIDE.U32", "multiply"), ("IADD3.X", "integer"), ("LOP3.LUT", "integer"),
        ("MUFU.RCP64H", "special"), ("F2F.F32.F64", "conversion"), ("I2F.F64.U32", "conversion"),
        ("I2F.U32", "special"), ("LDG.E.128", "load"), ("STG.E", "store"),
        ("LDS.64", "shared"), ("REDG.E.ADD.64.STRONG.GPU", "atomic"),
        ("ATOMS.ADD", "shared atomic"), ("ULDC.64", "uniform"), ("LDC.64", "control"), ("BRA", "control"),
    ],
)  # fmt: skip
def test_classes(opcode: str, kind: str) -> None:
    assert prediction.class_of(instruction(opcode)) == kind
    assert kind in prediction.CLASSES


def test_row_program_counts_a_thread_for_its_rows(listing: Listing) -> None:
    parameters = (Parameter("float64", "x"), Parameter("uint8", "code", written=True), Parameter("float64", "means"))
    program = Program("gpuvgm_transform_1", (), (("GPUVGM_ROWS", "1"),), parameters, operation="work(i)")
    counted = prediction.instructions_a_row(Compiled(program, "90", Resources(32, 0, 0, 0), listing))
    assert len(counted) == 11
    assert {times for _, times in counted} == {1.0}
    assert prediction.row_bytes(program) == 9


def test_way_that_misses_divisions_is_refused(listing: Listing) -> None:
    program = Program(
        "gpuvgm_transform_1", (), (("GPUVGM_ROWS", "2"),), (Parameter("float64", "x"),), operation="work(i)"
    )
    with pytest.raises(ValueError, match="read wrongly"):
        prediction.instructions_a_row(Compiled(program, "90", Resources(32, 0, 0, 0), listing))


def test_block_program_counts_its_loop(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "LEAST_INSTRUCTIONS", 5)
    program = Program("rows", (), (), (Parameter("float64", "x"),))
    counted = prediction.instructions_a_row(Compiled(program, "90", Resources(32, 0, 0, 0), listing))
    assert [i.address for i, _ in counted] == [0x20, 0x30, 0x40, 0x80, 0x90, 0xA0, 0xD0, 0xE0]
    assert {times for _, times in counted} == {1.0}


def work(**instructions: float) -> prediction.Work:
    counts = {kind: instructions.get(kind.replace(" ", "_"), 0.0) for kind in prediction.CLASSES}
    program = Program("rows", (), (), (Parameter("float64", "x"),))
    return prediction.Work(program, "", "90", 32, 9.6, counts, 0.0)


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
    assert (found.limit, found.time) == ("atomics", pytest.approx(2e3 / 1.98))


def test_cards_are_those_of_the_architectures_that_are_compiled() -> None:
    from benchmarks.kernels.compile import ARCHITECTURES

    assert {card.architecture for card in CARDS} <= set(ARCHITECTURES)
    peak = {card.name: 2e-3 * card.fp64 * card.multiprocessors * card.clock for card in CARDS}
    published = {"A100 80GB": 9.7, "H100 SXM": 33.5, "H200": 33.5, "B200": 37.0}  # 10^12 a second, data sheets
    assert {name: peak[name] for name in published} == pytest.approx(published, rel=0.02)
