from .density import density_finder as density_finder
from .network import JointCounts as JointCounts, Network as Network, NodeTables as NodeTables, Structure as Structure
from .stages import StructureLearner as StructureLearner
from .state import file_of as file_of, read_network as read_network, write_network as write_network
from .structure import Dependence as Dependence, Node as Node
from .trees import TreeSettings as TreeSettings, order_of as order_of
