"""Dask: portions of any source on the workers of a cluster, and Dask's own frames as sources."""

from gpuvgm.distributed.clusters import cluster
from gpuvgm.distributed.executor import DaskExecutor, Held, client_if_any
from gpuvgm.distributed.lazily import map_frames

__all__ = ["DaskExecutor", "Held", "client_if_any", "cluster", "map_frames"]
