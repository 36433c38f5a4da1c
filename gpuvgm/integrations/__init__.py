"""Drop-in replacements for the transformers of other libraries, one module each; a module needs its library."""
