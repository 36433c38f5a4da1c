"""A strict device in software: a module that stands for CuPy, with what CuPy refuses and what a GPU gets wrong.

`module.use_strict_device` puts it in the place of CuPy, so that the CUDA engine, sources and estimators run on it as
they would on CuPy; kernels run on the host (`tests.engines.kernels.emulated`). Its arrays are no NumPy arrays. It has
the names that the installed CuPy has, and no other; its functions take the arguments that CuPy's take. What CuPy lets
pass and a GPU pays for with wrong numbers is a `DeviceFault` here: work on a stream that does not wait for the one that
writes the array, memory that is used after it was freed, pinned memory that changes under a copy. Kernels and copies
are done when somebody waits for their stream, or when something that comes after them needs them, and a kernel's error
is told then. `worker` is the preload of Dask's workers in processes of their own.
"""
