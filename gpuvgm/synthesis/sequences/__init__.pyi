from .conditions import sampler_of as sampler_of
from .learning import learn_sequences as learn_sequences
from .model import SequenceModel as SequenceModel
from .recency import Recency as Recency
from .sorting import HashOrder as HashOrder
from .stored import read_sequences as read_sequences
