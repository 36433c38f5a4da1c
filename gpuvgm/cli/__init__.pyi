from .address_space import check_address_space
from .commands import main
from .machine_checks import doctor

__all__ = [
    "check_address_space",
    "doctor",
    "main",
]
