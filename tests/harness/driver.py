"""CUDA 12 or 13, as this machine's driver asks: ``python tests/harness/driver.py [CUDA]``, by any Python."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys

SUPPORTED = (12, 13)


def choose(given: str = "") -> int:
    """The version that was given, else the newest that the driver runs."""
    if given in map(str, SUPPORTED):
        return int(given)
    if given:
        raise SystemExit(f"CUDA is 12 or 13, not {given}")
    version = of_library() or of_smi()
    if version is None:
        raise SystemExit("no NVIDIA driver answers here, neither libcuda.so.1 nor nvidia-smi; CUDA=12 or 13 chooses")
    if version < SUPPORTED[0]:
        raise SystemExit(f"the NVIDIA driver of this machine is for CUDA {version}: update it to one for CUDA 12 or 13")
    return min(version, SUPPORTED[-1])


def of_library() -> int | None:
    """The version that the driver's library states."""
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else version.value // 1000


def of_smi() -> int | None:
    """The version at the head of what nvidia-smi prints; newer ones call it that of the UMD."""
    try:
        printed = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"CUDA (?:UMD )?Version\s*:\s*(\d+)", printed)
    return found and int(found[1])


if __name__ == "__main__":
    sys.stdout.write(f"{choose(*sys.argv[1:])}\n")
