from .keeper import LawKeeper as LawKeeper
from .sampler import Sampler as Sampler
from .tables import TableSampler as TableSampler
