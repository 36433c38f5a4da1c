from .server import Service as Service
