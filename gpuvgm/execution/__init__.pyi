from .aggregate import map_columns as map_columns, summarise_columns as summarise_columns
from .context import (
    Run as Run,
    RunSettings as RunSettings,
    any_source as any_source,
    clone_beside_executor as clone_beside_executor,
    executor_for as executor_for,
    lazy_frame as lazy_frame,
)
from .dask import DaskExecutor as DaskExecutor
from .dask_frames import whole_rows as whole_rows
from .local import LocalExecutor as LocalExecutor, RemoteBlocks as RemoteBlocks, available_threads as available_threads
from .local_cluster import cluster as cluster
from .memory import Need as Need, parse_memory as parse_memory
from .partitions import OpenPartition as OpenPartition, Partition as Partition
from .row_sample import RowSample as RowSample
from .sampling import Sampled as Sampled
from .stages import Progress as Progress, Stages as Stages
from .worker_rows import rows_on_workers as rows_on_workers
