"""C++ and CUDA sources: the formulas of the library, compiled by the host compiler and by NVRTC.

What lies beside this file is compiled by both: the formulas of a row, and those of EM. `host` holds the row loops of
the native engine, one copy for each instruction set, and its binding; `cuda` the kernels of the CUDA engine. All are
installed as package data.
"""

from __future__ import annotations

from importlib import resources


def source(name: str) -> str:
    """Text of one source file.

    Parameters
    ----------
    name : str
        File name inside this package, for example ``"vgm_math.cuh"`` or ``"cuda/encode.cuh"``.

    Returns
    -------
    str
        The file as it was installed, decoded as UTF-8.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
