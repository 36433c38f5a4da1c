"""CTGAN's DataTransformer and DataSampler on gpuvgm's engines, and a context in which CTGAN and TVAE use them."""

from gpuvgm.integrations.ctgan.installed import installed
from gpuvgm.integrations.ctgan.sampler import DataSampler
from gpuvgm.integrations.ctgan.transformer import DataTransformer

__all__ = ["DataSampler", "DataTransformer", "installed"]
