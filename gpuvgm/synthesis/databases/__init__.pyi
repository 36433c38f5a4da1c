from .synthesizer import DatabaseSynthesizer as DatabaseSynthesizer
