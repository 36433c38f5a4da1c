"""What `import gpuvgm` loads, and that it works with and without the compiled engine."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from tests.cli.running import copy_without_extension, run_python, run_without_site

HEAVY = {"cupy", "cudf", "dask", "distributed", "sklearn", "scipy", "pandas", "polars", "matplotlib", "fsspec", "s3fs"}


def test_import_is_light():
    code = "import json, sys, gpuvgm; dir(gpuvgm); print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(run_python("-c", code))}
    assert not loaded & HEAVY


def loaded_by_command(*arguments):
    """Packages that a command loads; where it has begun its work, garbage is collected, but not among modules."""
    code = """
import gc, json, sys
from gpuvgm.__main__ import main
sys.argv = ["gpuvgm", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps([sorted(sys.modules), gc.isenabled(), gc.get_freeze_count() > 10_000]))
"""
    modules, *collects = json.loads(run_python("-c", code, *arguments).splitlines()[-1])
    assert "typer" in modules and collects == ["gpuvgm.cli.run" in modules] * 2
    return {name.partition(".")[0] for name in modules}


def test_transformers_and_synthesizers_are_made_and_work_without_scikit_learn():
    """Its base class takes longer to import than all of gpuvgm: it brings scipy.stats and pandas."""
    code = """
import json, sys, gpuvgm
gpuvgm.PrivateSynthesizer, gpuvgm.DatabaseSynthesizer
table = {"colour": ["red", "red", "blue"] * 40, "size": [1.5, 2, 3.5, 2] * 30}
fitted = gpuvgm.TableTransformer(tol=1e-2).fit(table)
fitted.inverse_transform(fitted.transform(table))
print(fitted, len(gpuvgm.TableSynthesizer(bins=20).fit(table).sample(3)))
print(json.dumps(sorted(sys.modules)))
"""
    text, modules = run_python("-c", code).splitlines()
    assert text == "TableTransformer(tol=0.01) 2"
    assert not {"sklearn", "scipy.stats"} & {*json.loads(modules)}  # pyarrow imports pandas for lists


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["fit", "--help"]], ids=" ".join)
def test_what_needs_no_rows_loads_nothing_that_computes(arguments):
    assert not loaded_by_command(*arguments) & (HEAVY | {"numpy", "pyarrow"})


def test_commands_load_what_they_need_alone(working_folder, random):
    """Above all neither scikit-learn nor pandas, which pyarrow imports where it finds it."""
    table = {
        "amount": random.lognormal(3, 1, 2000).round(2),
        "size": random.normal(size=2000),
        "count": random.integers(0, 9000, 2000),
        "day": np.datetime64("2024-01-01") + random.integers(0, 900, 2000),
        "city": random.choice(["a", "b", "c"], 2000),
        "paid": random.random(2000) < 0.3,
    }
    pq.write_table(pa.table(table), "t.parquet")
    commands = ["fit t.parquet --model m", "transform t.parquet e.parquet --model m", "info m"]
    commands += ["inverse e.parquet b.csv --model m", "evaluate t.parquet --model m", "validate b.csv --model m"]
    for command in commands:
        assert not loaded_by_command(*command.split()) & (HEAVY | {"asyncio"}), command
    assert not loaded_by_command("doctor") & {"sklearn", "scipy", "dask", "matplotlib"}


@pytest.mark.parametrize("name", gpuvgm.__all__)
def test_every_public_name_resolves(name):
    assert getattr(gpuvgm, name) is not None


def test_only_public_names_are_listed():
    assert dir(gpuvgm) == sorted(gpuvgm.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No gpuvgm attribute nothing_of_the_kind"):
        _ = gpuvgm.nothing_of_the_kind


def test_native_engine_is_the_one_under_test():
    """An installation that has the extension, or must have it, is never shadowed by a bare source tree."""
    installed = any(Path(file).name.startswith("_native.") for file in metadata.files("gpuvgm") or ())
    if not installed and os.environ.get("GPUVGM_REQUIRE_NATIVE") != "1":
        pytest.skip("installed without a compiler: the NumPy engine alone")
    assert importlib.import_module("gpuvgm._native").__file__


def test_source_tree_imports_without_the_extension(tmp_path):
    code = """
import importlib, importlib.util, json, pkgutil, gpuvgm
assert importlib.util.find_spec("gpuvgm._native") is None
names = [m.name for m in pkgutil.walk_packages(gpuvgm.__path__, "gpuvgm.")]
needs_more = {"gpuvgm.__main__", "gpuvgm.engines.native", "gpuvgm.engines.cuda", "gpuvgm.execution"}
for name in names:
    if name not in needs_more and not name.startswith(("gpuvgm.integrations", "gpuvgm.service")):
        importlib.import_module(name)
print(json.dumps([gpuvgm.__file__, len(names)]))
"""
    file, modules = run_without_site(code, copy_without_extension(tmp_path))
    assert Path(file).is_relative_to(tmp_path)
    assert modules > 1


def test_a_clone_without_the_extension_says_so(tmp_path):
    code = """
import json, logging, gpuvgm
messages, handler = [], logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger("gpuvgm").addHandler(handler)
gpuvgm.TableTransformer().fit({"a": [1.5, 2.5, 3.5] * 20})
print(json.dumps(messages))
"""
    clone = copy_without_extension(tmp_path)
    (clone / "pyproject.toml").touch()
    (message,) = run_without_site(code, clone)
    assert message.startswith(f"gpuvgm is imported from its sources in {clone}, without the C++ extension")
    assert "start Python in another folder if gpuvgm is installed" in message


def test_benchmarks_measure_the_installed_package(tmp_path):
    for file in ("clone/gpuvgm/__init__.py", "site/gpuvgm/__init__.py", "clone/benchmarks/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    shutil.copy(Path(__file__).parents[2] / "benchmarks" / "__init__.py", tmp_path / "clone" / "benchmarks")
    (tmp_path / "clone" / "benchmarks" / "__main__.py").write_text("import gpuvgm; print(gpuvgm.__file__)")
    for folder in (tmp_path / "clone", tmp_path / "site"):  # the first path, or one of several
        paths = os.pathsep.join(map(str, (folder, tmp_path / "clone", tmp_path / "site")))
        assert run_python("-S", "-m", "benchmarks", PYTHONPATH=paths).startswith(str(tmp_path / "site"))


#: Takes away what Windows lacks of what Linux has, and the compiled engine. macOS lacks a part of it.
WITHOUT_LINUX = """
import asyncio, os, select, shutil, signal, sys  # asyncio asks for sysconf when it is imported, on Linux
shutil._use_fd_functions = False  # as it finds on Windows when it is imported
sys.modules |= {"fcntl": None, "resource": None, "gpuvgm._native": None}
sys.modules["psutil"] = None  # its build for Linux, which joblib may find, needs resource
for module, names in {
    os: ("sysconf", "sched_getaffinity", "pread", "pwrite", "O_NONBLOCK", "O_NOFOLLOW", "fork"),
    signal: ("SIGHUP",),
    select: ("poll",),
}.items():
    for name in names:
        delattr(module, name)
"""


def test_tables_are_fitted_and_models_kept_without_what_only_linux_has(tmp_path):
    code = """
import numpy, gpuvgm
os.chdir(sys.argv[1])
rows = {"amount": numpy.arange(1000) / 4, "city": ["a", "b"] * 500}
fitted = gpuvgm.TableTransformer().fit(rows)
for name in ("folder", "file.gpuvgm"):
    fitted.save(name)
    fitted.save(name)
    assert all(map(numpy.array_equal, gpuvgm.load(name).transform(rows).values(), fitted.transform(rows).values()))
"""
    run_python("-c", WITHOUT_LINUX + code, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.gpuvgm", "folder"]


def test_commands_run_without_what_only_linux_has(tmp_path):
    code = WITHOUT_LINUX + "from gpuvgm.__main__ import main; main()"
    assert "cores, memory unknown\n" in run_python("-c", code, "doctor")
    run_python("-c", code, "demo", "--rows", "20000", "--out", str(tmp_path), "--quiet")
    written = {path.name for path in tmp_path.iterdir()}
    assert {"model.gpuvgm", "encoded.parquet", "back.parquet", "report.html"} < written


@pytest.mark.parametrize(
    ("name", "wrong", "close"),
    [
        ("TableTransformer", "n_component", "n_components"),
        ("TableSynthesizer", "condition_on", "conditions_on"),
        ("BayesianGaussianMixture", "max_iters", "max_iter"),
    ],
)
def test_unknown_parameters_are_told_with_the_class_and_the_closest_name(name, wrong, close):
    with pytest.raises(
        TypeError, match=rf'^{name}\(\) got an unexpected keyword argument "{wrong}"; did you mean "{close}"'
    ):
        getattr(gpuvgm, name)(**{wrong: 3})
    assert close in inspect.signature(getattr(gpuvgm, name)).parameters


@pytest.mark.parametrize(
    ("name", "method", "wrong", "hint"),
    [
        ("TableSynthesizer", "sample", "num_rows", 'it is called "n" here'),
        ("TableSynthesizer", "sample", "output_file_path", 'it is called "out" here'),
        ("TableSynthesizer", "fit", "data", 'it is called "source" here'),
        ("TableSynthesizer", "evaluate", "num_rows", 'it is called "n" here'),
        ("PrivateSynthesizer", "sample", "num_rows", 'it is called "n" here'),
        ("TableTransformer", "transform", "layouts", 'did you mean "layout"'),
        ("BayesianGaussianMixture", "fit", "sample_weights", 'did you mean "sample_weight"'),
    ],
)
def test_a_parameter_that_a_method_lacks_is_told_with_the_one_that_is_meant(name, method, wrong, hint):
    required = {"PrivateSynthesizer": {"domain": {}, "epsilon": 1, "delta": 1e-6}}.get(name, {})
    with pytest.raises(TypeError, match=rf'^{name}\.{method}\(\) got an unexpected keyword argument "{wrong}"; {hint}'):
        getattr(getattr(gpuvgm, name)(**required), method)(**{wrong: 3})
