"""CTGAN and TVAE on gpuvgm's engines: their transformer, their sampler, and the synthesizers on compact rows."""

from typing import TYPE_CHECKING, Any

from gpuvgm.integrations.ctgan.installed import installed
from gpuvgm.integrations.ctgan.sampler import DataSampler
from gpuvgm.integrations.ctgan.transformer import DataTransformer, stock_transformers

if TYPE_CHECKING:
    from gpuvgm.integrations.ctgan.synthesizers import CTGAN, TVAE

__all__ = ["CTGAN", "TVAE", "DataSampler", "DataTransformer", "installed"]


def __getattr__(name: str) -> Any:
    """Import the synthesizers, which subclass ctgan's, when they are first accessed."""
    if name not in ("CTGAN", "TVAE"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    stock_transformers()
    from gpuvgm.integrations.ctgan import synthesizers

    return getattr(synthesizers, name)
