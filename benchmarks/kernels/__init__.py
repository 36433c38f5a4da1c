"""What the compiled code of the GPU kernels tells on a machine without a GPU.

compile makes cubins as CuPy would, disassembly reads them, and budget says what they may hold; cards and prediction
say what they would take on devices of known speeds.
"""
