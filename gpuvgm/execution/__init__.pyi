from .aggregate import map_columns, summarise_columns
from .context import Run, RunSettings, any_source, clone_beside_executor, executor_for, lazy_frame
from .dask import DaskExecutor
from .dask_frames import whole_rows
from .local import LocalExecutor, RemoteBlocks, available_threads
from .local_cluster import cluster
from .memory import Need, parse_memory
from .partitions import OpenPartition, Partition
from .sampling import RowSample, Sampled, sample_runs
from .stages import Progress, Stages
from .worker_rows import rows_on_workers

__all__ = [
    "DaskExecutor",
    "LocalExecutor",
    "Need",
    "OpenPartition",
    "Partition",
    "Progress",
    "RemoteBlocks",
    "RowSample",
    "Run",
    "RunSettings",
    "Sampled",
    "Stages",
    "any_source",
    "available_threads",
    "clone_beside_executor",
    "cluster",
    "executor_for",
    "lazy_frame",
    "map_columns",
    "parse_memory",
    "rows_on_workers",
    "sample_runs",
    "summarise_columns",
    "whole_rows",
]
