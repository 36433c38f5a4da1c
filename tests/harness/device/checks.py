"""The checks of `gpuvgm doctor --gpu` on the strict device, in processes of their own as on a GPU."""

from __future__ import annotations

import os
import time

import pytest

from gpuvgm.cli import gpu_checks
from gpuvgm.cli.gpu_checks import Check, Found
from tests.harness.device.hardware import Hardware
from tests.harness.device.module import use_strict_device

START = "from tests.harness.device.checks import main"
MEMORY = 5 << 26  # with which arrays are short


def fail() -> Found:
    """Something is wrong."""
    raise ValueError("two bits\n differ")


def crash() -> Found:
    """The process ends in the middle."""
    os.write(2, b"a first line\nIllegal address\n")
    os._exit(7)


def hang() -> Found:
    """Nothing ever comes."""
    time.sleep(600)
    return {}


BROKEN = (Check("fails", (), fail), Check("crashes", (), crash), Check("hangs", (), hang))


def main(name: str) -> None:
    """What the process of a check does."""
    with pytest.MonkeyPatch.context() as patch:
        use_strict_device(patch, Hardware(memory=MEMORY))
        patch.setattr(gpu_checks, "CHECKS", (*gpu_checks.CHECKS, *BROKEN))
        gpu_checks.main(name)
