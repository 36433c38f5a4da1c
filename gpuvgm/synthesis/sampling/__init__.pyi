from .conditions import sampler_under as sampler_under
from .keeper import LawKeeper as LawKeeper
from .rows import RowDrawer as RowDrawer
from .sampler import BatchSampler as BatchSampler, Sampler as Sampler
from .tables import TableSampler as TableSampler
