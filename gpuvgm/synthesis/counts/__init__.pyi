from .calendar import clocks_and_parts as clocks_and_parts
from .density import density_finder as density_finder, likeliest_bins as likeliest_bins
from .network import JointCounts as JointCounts, Network as Network, NodeTables as NodeTables, Structure as Structure
from .state import file_of as file_of, read_network as read_network, write_network as write_network
from .structure import (
    SAMPLE_ROWS as SAMPLE_ROWS,
    Dependence as Dependence,
    KeyPath as KeyPath,
    Node as Node,
    learn_structure as learn_structure,
)
from .trees import TreeSettings as TreeSettings, grow_all as grow_all, order_of as order_of
from .twins import twins_of as twins_of
