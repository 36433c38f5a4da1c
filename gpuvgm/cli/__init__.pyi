from .address_space import check_address_space as check_address_space
from .commands import main as main
from .machine_checks import doctor as doctor
