from .server import Service

__all__ = [
    "Service",
]
