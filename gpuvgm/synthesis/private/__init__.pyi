from .synthesizer import NAME as NAME, PrivateSynthesizer as PrivateSynthesizer
