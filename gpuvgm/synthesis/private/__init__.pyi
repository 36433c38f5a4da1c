from .synthesizer import PrivateSynthesizer as PrivateSynthesizer
