"""Drop-in replacements for the transformers of other libraries, and their engines; a module needs its library."""
