"""The interpreter of PTX: does it find the faults it looks for, and compute as IEEE says?"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from tests.engines.kernels.executed import ARCHITECTURE
from tests.harness.ptx.decoding import UnknownInstruction
from tests.harness.ptx.interpreter import FAULTS, SCHEDULES, Kernel, KernelFault, Memory, Schedule, launch, rules
from tests.harness.ptx.programs import compiled

pytestmark = pytest.mark.ptx
THREADS = 64
SHARED = "__shared__ double s[64]; s[t] = x[t];"


@cache
def kernel_of(body: str) -> Kernel:
    """A kernel whose first line is the one after its head."""
    head = 'extern "C" __global__ void trial(const double* x, double* y, unsigned* u, int n) {'
    return compiled(f"{head} const int t = threadIdx.x, b = blockIdx.x;\n{body}\n}}", ARCHITECTURE)


def run(kernel: Kernel, blocks: int = 2, schedule: Schedule = SCHEDULES["forwards"]) -> tuple[np.ndarray, np.ndarray]:
    x, y, u = np.arange(256.0), np.zeros(256), np.zeros(256, np.uint32)
    arguments = [struct.pack("<Q", array.ctypes.data) for array in (x, y, u)]
    memory = [Memory(x, writable=False), Memory(y), Memory(u)]
    launch(kernel, (blocks, THREADS), [*arguments, struct.pack("<i", 0)], memory, schedule, longest=10**6)
    return y, u


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "body",
    [
        "y[64 * b + t] = x[t];",
        "y[64 * b + t] = x[63];",
        "y[64 * b + t] = 1.0; y[64 * b + t] += x[t];",
        f"{SHARED} __syncthreads(); y[64 * b + t] = s[63 - t];",
        f"{SHARED} __syncthreads(); double a = s[63 - t]; __syncthreads(); s[t] = a; y[64 * b + t] = s[t];",
        f"{SHARED} __syncthreads(); y[64 * b + t] = s[0] + s[63];",
        "atomicAdd(u + t % 3, 1u);",
        "__shared__ unsigned c; if (!t) c = 0; __syncthreads(); atomicAdd(&c, b); __syncthreads(); u[64 * b + t] = c;",
        "if (b == 0 && t == 5) { u[7] = 3; u[7] += 2; }",
        "const double2 a = *(const double2*)(x + 2 * t); y[128 * b + 2 * t] = a.x; y[128 * b + 2 * t + 1] = a.y;",
    ],
)
def test_sound_kernels_have_no_faults(body: str, schedule: str) -> None:
    run(kernel_of(body), schedule=SCHEDULES[schedule])


def test_the_longest_way_takes_the_slowest_thread_between_barriers() -> None:
    def way(body: str) -> int:
        kernel = kernel_of(body)
        before, executed = int(kernel.longest_way[0]), int(kernel.executed.sum())
        run(kernel, blocks=1)
        assert int(kernel.executed.sum()) - executed <= THREADS * (int(kernel.longest_way[0]) - before)
        return int(kernel.longest_way[0]) - before

    same, slow = "__syncthreads(); y[t] = x[t];", "for (int i = 0; i < 100; ++i) { y[t] = y[t] + x[i]; }"
    of_all = way(f"{slow} {same}")
    assert of_all > 300 + way(same)
    one_each = way(f"if (t == 3) {{ {slow} }} __syncthreads(); if (t == 60) {{ {slow} }}")
    assert one_each > 1.5 * of_all, "one thread's work on each side of the barrier"
    assert way(f"if (t == 3 || t == 60) {{ {slow} }} {same}") < 1.2 * of_all, "side by side"


@dataclass(frozen=True)
class Faulty:
    """A kernel of two lines, and what is said of it where threads run forwards; the message begins with its name."""

    body: str
    fault: str
    where: str  # of the fault, and in a race of the access before it
    before: str = ""
    blocks: int = 1


FAULTY = {
    "read beyond the end": Faulty("\ny[t] = x[t + 193];", "outside", "block 0, thread 63 at line 3"),
    "read before the first": Faulty("\ny[t] = x[t - 1];", "outside", "block 0, thread 0 at line 3"),
    "write beyond the end": Faulty("y[t] = 1;\ny[t + 200] = x[t];", "outside", "block 0, thread 56 at line 3"),
    "in the second block": Faulty(
        "\ny[64 * b + t] = x[193 * b + t];", "outside", "block 1, thread 63 at line 3", blocks=2
    ),
    "shared memory, beyond its end": Faulty(
        "__shared__ double s[64];\ns[t + n + 1] = x[t]; __syncthreads(); y[t] = s[t];",
        "outside",
        "block 0, thread 63 at line 3",
    ),
    "two numbers off their border": Faulty(
        "double2* to = (double2*)y;\nto[t] = *(const double2*)(x + 2 * t + 1);",
        "misaligned",
        "block 0, thread 0 at line 3",
    ),
    "a number off its border": Faulty(
        "\ny[t] = *(const double*)((const char*)x + 8 * t + 4);", "misaligned", "block 0, thread 0 at line 3"
    ),
    "write to what is only read": Faulty("\n((double*)x)[t] = 1.0;", "only read", "block 0, thread 0 at line 3"),
    "shared memory that nobody wrote": Faulty(
        "__shared__ double s[64]; if (t < 63) s[t] = x[t]; __syncthreads();\ny[t] = s[t];",
        "nobody wrote",
        "block 0, thread 63 at line 3",
    ),
    "shared memory of the block before": Faulty(
        "__shared__ double s[64]; if (b == 0) s[t] = x[t];\ny[64 * b + t] = s[t];",
        "nobody wrote",
        "block 1, thread 0 at line 3",
        blocks=2,
    ),
    "read without a barrier after the write": Faulty(
        f"{SHARED}\ny[t] = s[63 - t];", "race", "block 0, thread 32 at line 2", "block 0, thread 31 at line 3"
    ),
    "write without a barrier after the read": Faulty(
        f"{SHARED} __syncthreads(); double a = s[63 - t];\ns[t] = a; __syncthreads(); y[t] = s[t];",
        "race",
        "block 0, thread 32 at line 2",
        "block 0, thread 31 at line 3",
    ),
    "two writes": Faulty("u[t] = 1;\nu[0] = t;", "race", "block 0, thread 1 at line 3", "block 0, thread 0 at line 3"),
    "lost update": Faulty("\nu[0] = u[0] + 1;", "race", "block 0, thread 1 at line 3", "block 0, thread 0 at line 3"),
    "two blocks in one place": Faulty(
        "\ny[t] = x[t];", "race", "block 1, thread 0 at line 3", "block 0, thread 0 at line 3", blocks=2
    ),
    "a barrier is none for other blocks": Faulty(
        "if (b == 0) u[t] = 1; __syncthreads();\nif (b == 1) y[t] = u[t];",
        "race",
        "block 1, thread 0 at line 3",
        "block 0, thread 0 at line 2",
        blocks=2,
    ),
    "atomic after plain": Faulty(
        "if (t == 3) u[0] = 5;\natomicAdd(u, 1u);", "race", "block 0, thread 3 at line 2", "block 0, thread 2 at line 3"
    ),
    "plain after atomic, two barriers and a block later": Faulty(
        "if (b == 0 && t == 0) u[0] = 5; __syncthreads(); if (b == 0 && t == 9) atomicAdd(u, 2u); __syncthreads();\n"
        "if (b == 1) atomicAdd(u, 1u);",
        "race",
        "block 1, thread 0 at line 3",
        "block 0, thread 9 at line 2",
        blocks=2,
    ),
    "barrier of some threads": Faulty(
        f"{SHARED} if (t < 32) {{\n__syncthreads(); }} y[t] = s[t];", "not all threads", "block 0, thread 0 at line 3"
    ),
    "two barriers": Faulty(
        "if (t < 32) { __syncthreads(); y[t] = 1; }\nelse { __syncthreads(); y[t] = x[t]; }",
        "not all threads",
        "block 0, thread 32 at line 3",
    ),
    "endless loop": Faulty("\nfor (;;) { atomicAdd(u, n); }", "endless", "block 0, thread 0 at line 3"),
    "NaN made an integer": Faulty("\nu[t] = (int)(x[t] / x[0] * 0.0 + x[t]);", "NaN", "block 0, thread 0 at line 3"),
    "division by zero": Faulty("\nu[t] = t / (unsigned)n;", "division by zero", "block 0, thread 0 at line 3"),
}  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", FAULTY)
def test_faults_are_found_and_told(name: str, schedule: str) -> None:
    """By every schedule; with a schedule that is known, the threads are, too."""
    faulty = FAULTY[name]
    with pytest.raises(KernelFault) as caught:
        run(kernel_of(faulty.body), faulty.blocks, SCHEDULES[schedule])
    (told, *_) = [line for line in str(caught.value).splitlines() if faulty.fault in line]
    match = re.fullmatch(
        r"trial: (?P<fault>[^:]+): (?P<where>block \d+, thread \d+ at line \d+) \(.+?;?\)"
        r"(, \d+ bytes at 0x\w+)?(, after (?P<before>(block \d+|another block), thread \d+ at line \d+) \(.+\))?",
        told,
    )
    assert match is not None, told
    assert match["fault"] in FAULTS
    if schedule == "forwards":
        assert match["where"] == faulty.where
        assert (match["before"] or "") == faulty.before
    assert {faulty.where[-6:], faulty.before[-6:]} & {match["where"][-6:], (match["before"] or "")[-6:]}


def test_every_kind_of_fault_is_tried() -> None:
    assert [fault for fault in FAULTS if not any(faulty.fault in fault for faulty in FAULTY.values())] == []


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("y[t] = __shfl_down_sync(0xffffffff, t, 1);", r"shfl\.sync"),
        ("atomicAdd(y, 1.0);", r"add\.f64"),
        ('unsigned lane; asm("mov.u32 %0, %%laneid;" : "=r"(lane)); u[t] = lane;', "%laneid"),
    ],
)
def test_unknown_instructions_are_refused(text: str, instruction: str) -> None:
    with pytest.raises(UnknownInstruction, match=instruction):
        kernel_of(text)


def test_arguments_of_a_wrong_size_are_refused() -> None:
    with pytest.raises(AssertionError, match="an argument of 4 bytes, not 8"):
        launch(kernel_of("y[t] = 1;"), (1, 1), [b"abcd"] * 4, [])


# ---- arithmetic ----------------------------------------------------------------------------------------------------

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.2250738585072014e-308, 0.1, 1 / 3, 1e-310]
SPECIAL += [1.7976931348623157e308, 3.5, -2.5, 1e-40, -1e-45, 1.1754943508222875e-38, 3.4028234663852886e38]
Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]


def flushed(a: np.ndarray) -> np.ndarray:
    return np.where(np.abs(a) < np.float32(2.0**-126), np.copysign(np.float32(0), a), a).astype(np.float32)


def fused(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b + a in rational numbers, rounded once."""
    found = a * b + a
    for place in np.flatnonzero(np.isfinite(a) & np.isfinite(b)):
        exact = Fraction(float(a[place])) * Fraction(float(b[place])) + Fraction(float(a[place]))
        if exact != 0:  # the sign of a zero is that of the sum
            found[place] = rounded(exact)
    return found


def rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return np.inf if exact > 0 else -np.inf


def chosen(of: Formula, *, negative: bool) -> Formula:
    """The smaller or larger of two numbers, where -0 is less than 0."""
    return lambda a, b: np.where((a == 0) & (b == 0), np.where(np.signbit(a) == negative, a, b), of(a, b))


def whole(a: np.ndarray, low: float, high: float, nan: float) -> np.ndarray:
    """A whole number towards zero as an integer holds it; what the manual says of NaN."""
    return np.where(np.isnan(a), nan, np.trunc(np.clip(a, low, high)) + 0.0)


def words(of: Callable[[int, int], int], dtype: str) -> Formula:
    """A formula of Python's integers."""
    bits = 8 * np.dtype(dtype).itemsize
    return lambda a, b: np.array([of(int(p), int(q)) % 2**bits for p, q in zip(a, b, strict=True)], f"u{bits // 8}")


def shift(of: Callable[..., np.ndarray], bits: int) -> Formula:
    return lambda a, b: of(a, b & a.dtype.type(bits - 1))


FLOAT64: dict[str, Formula] = {
    "a + b": np.add,
    "a - b": np.subtract,
    "a * b": np.multiply,
    "a / b": np.divide,
    "fma(a, b, a)": fused,
    "sqrt(a)": lambda a, b: np.sqrt(a),
    "fmax(a, b)": chosen(np.fmax, negative=False),
    "fmin(a, b)": chosen(np.fmin, negative=True),
    "fabs(a)": lambda a, b: np.abs(a),
    "a <= b ? a : -b": lambda a, b: np.where(a <= b, a, -b),
    "!(a > b) ? a : b": lambda a, b: np.where(~(a > b), a, b),
    "a != b": lambda a, b: (a != b).astype(float),
    "!(a < b)": lambda a, b: (~(a < b)).astype(float),
    "(double)(float)a": lambda a, b: flushed(a.astype(np.float32)).astype(float),
    "(double)(long long)(a < 9e18 && a > -9e18 ? 3 : 4)": lambda a, b: np.where((a < 9e18) & (a > -9e18), 3.0, 4.0),
    "(double)(int)a": lambda a, b: whole(a, -(2**31), 2**31 - 1, nan=-(2.0**31)),
    "(double)(unsigned)a": lambda a, b: whole(a, 0, 2**32 - 1, nan=2.0**31),
}
FLOAT32: dict[str, Formula] = {
    "a + b": lambda a, b: flushed(flushed(a) + flushed(b)),
    "a - b": lambda a, b: flushed(flushed(a) - flushed(b)),
    "a * b": lambda a, b: flushed(flushed(a) * flushed(b)),
    "__fdiv_rn(a, b)": lambda a, b: flushed(flushed(a) / flushed(b)),
    "__fsqrt_rn(a)": lambda a, b: np.sqrt(flushed(a)),
    "fmaxf(a, b)": lambda a, b: chosen(np.fmax, negative=False)(flushed(a), flushed(b)),
    "fminf(a, b)": lambda a, b: chosen(np.fmin, negative=True)(flushed(a), flushed(b)),
    "a <= b ? a : b": lambda a, b: np.where(flushed(a) <= flushed(b), a, b),
    "a == b": lambda a, b: (flushed(a) == flushed(b)).astype(np.float32),
    "(float)(int)a": lambda a, b: whole(flushed(a).astype(float), -(2**31), 2**31 - 1, nan=0.0),
    "(float)(unsigned)a": lambda a, b: whole(flushed(a).astype(float), 0, 2**32 - 1, nan=0.0),
    "(float)((double)a * 0.1)": lambda a, b: flushed((flushed(a).astype(float) * 0.1).astype(np.float32)),
}


def integers(dtype: str) -> dict[str, Formula]:
    bits = 8 * np.dtype(dtype).itemsize
    found: dict[str, Formula] = {
        "a + b": np.add,
        "a - b": np.subtract,
        "a * b": np.multiply,
        "a & b": np.bitwise_and,
        "a | b": np.bitwise_or,
        "a ^ b": np.bitwise_xor,
        "~a": lambda a, b: ~a,
        "a < b ? a : b": np.minimum,
        "a >= b ? a : b": np.maximum,
        f"a << (b & {bits - 1})": shift(np.left_shift, bits),
        f"a >> (b & {bits - 1})": shift(np.right_shift, bits),
        "b == 0 ? 0 : a / b": lambda a, b: words(lambda p, q: quotient(p, q), dtype)(a, b).view(dtype),
        "b == 0 ? 0 : a % b": lambda a, b: words(lambda p, q: p - q * quotient(p, q) if q else 0, dtype)(a, b).view(
            dtype
        ),
    }
    high = {"i4": "__mulhi", "u4": "__umulhi", "i8": "__mul64hi", "u8": "__umul64hi"}[dtype]
    found[f"{high}(a, b)"] = lambda a, b: words(lambda p, q: p * q >> bits, dtype)(a, b).view(dtype)
    if dtype == "u4":
        found["__funnelshift_l(a, b, 9)"] = words(lambda p, q: (q << 32 | p) << 9 >> 32, dtype)
        found["__funnelshift_r(a, b, 9)"] = words(lambda p, q: (q << 32 | p) >> 9, dtype)
        found["__byte_perm(a, b, 0x3715)"] = words(permuted, dtype)
    name, letter = dtype[0].replace("i", "s") + str(bits), "r" if bits == 32 else "l"
    for at, count in ((0, 8), (3, bits - 4), (bits - 5, 9), (bits + 3, 4), (7, 0)):
        field = f"bfe.{name} %0, %1, {at}, {count};"
        found[assembly(field, letter)] = words(
            lambda p, q, at=at, n=count: extracted(p, at, n, bits, name[0] == "s"), dtype
        )
        field = f"bfi.b{bits} %0, %1, %2, {at}, {count};"
        found[assembly(field, letter)] = words(lambda p, q, at=at, n=count: inserted(p, q, at, n, bits), dtype)
    return found


def assembly(instruction: str, letter: str) -> str:
    """An expression of one instruction with a result and the operands a and b."""
    operands = f'"={letter}"(d) : "{letter}"(a), "{letter}"(b)'
    return f'[=] {{ auto d = a; asm("{instruction}" : {operands}); return d; }}()'


def extracted(a: int, at: int, count: int, bits: int, signed: bool) -> int:
    """Bit by bit as the manual has it."""
    sign = a >> min(at + count - 1, bits - 1) & 1 if signed and count else 0
    found = [a >> at + i & 1 if i < count and at + i < bits else sign for i in range(bits)]
    return sum(bit << i for i, bit in enumerate(found))


def inserted(a: int, b: int, at: int, count: int, bits: int) -> int:
    mask = ((1 << count) - 1 << at) & (1 << bits) - 1
    return b & ~mask | a << at & mask


def quotient(a: int, b: int) -> int:
    """Towards zero; 0 where there is none."""
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def permuted(a: int, b: int) -> int:
    both = (b << 32 | a).to_bytes(8, "little")
    return int.from_bytes(bytes(both[byte] for byte in (5, 1, 7, 3)), "little")


ARITHMETIC = {
    "double": ("f8", FLOAT64),
    "float": ("f4", FLOAT32),
    "int": ("i4", integers("i4")),
    "unsigned": ("u4", integers("u4")),
    "long long": ("i8", integers("i8")),
    "unsigned long long": ("u8", integers("u8")),
}


def operands(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    g, count = np.random.default_rng(0), 3000
    if dtype.startswith("f"):
        special = np.array(SPECIAL)
        random = [g.normal(size=count) * 10.0 ** g.integers(-45, 40, count) for _ in range(2)]
        a, b = np.repeat(special, len(special)), np.tile(special, len(special))
        return np.concatenate((a, random[0])).astype(dtype), np.concatenate((b, random[1])).astype(dtype)
    a, b = (g.integers(0, 2**64, count, dtype="u8").astype(dtype) for _ in range(2))
    b[::7] >>= b.dtype.type(8 * b.dtype.itemsize - 5)  # small ones and zeros
    lowest = np.iinfo(dtype).min
    a[:4], b[:4] = [lowest, lowest, lowest + 1, 7], [-1 if lowest else 1, 1, 2, lowest]
    return a, b


@pytest.mark.parametrize("kind", ARITHMETIC)
def test_arithmetic_is_that_of_ieee_and_of_integers(kind: str) -> None:
    """Bit for bit, but for the bits of NaN."""
    dtype, formulas = ARITHMETIC[kind]
    with np.errstate(all="ignore"):
        a, b = operands(dtype)
        expected = [formula(a, b).astype(dtype) for formula in formulas.values()]
    lines = "\n".join(f"y[{place} * n + i] = {text};" for place, text in enumerate(formulas))
    text = f'extern "C" __global__ void trial(const {kind}* x, const {kind}* z, {kind}* y, int n) {{\n'
    text += f"const int i = blockIdx.x * 128 + threadIdx.x; if (i >= n) return; const {kind} a = x[i], b = z[i];\n"
    found = np.zeros((len(formulas), len(a)), dtype)
    arguments = [struct.pack("<Q", array.ctypes.data) for array in (a, b, found)]
    memory = [Memory(a, writable=False), Memory(b, writable=False), Memory(found)]
    kernel = compiled(text + lines + "}", ARCHITECTURE)
    arguments.append(struct.pack("<i", len(a)))
    launch(kernel, (-(-len(a) // 128), 128), arguments, memory, allowed=["NaN made an integer"])
    for formula, one, other in zip(formulas, found, expected, strict=True):
        bits = f"u{one.dtype.itemsize}"
        different = (one.view(bits) != other.view(bits)) & ~((one != one) & (other != other))
        assert not np.any(different), (formula, a[different][:3], b[different][:3], one[different][:3])


@pytest.mark.parametrize("approximation", [-1, 0, 1, 2])
def test_approximate_reciprocals_stay_within_their_bounds(approximation: int) -> None:
    """2^-20 of the reciprocal of a double."""
    body = """
    const double a = x[t] * 0.375 + 0.25; double q;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(q) : "d"(a));
    y[t] = q;
    """
    found = run(kernel_of(body), 1, Schedule(approximation=approximation))[0][:64]
    exact = 1 / (np.arange(64) * 0.375 + 0.25)  # all bits are in the upper word
    assert np.all(np.abs(found - exact) <= 2.0**-19 * exact)
    if approximation in (-1, 1):
        assert np.all(np.sign(found - exact) == approximation)


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len(rules()) > 200 and rules()["add.s16"] == 0
