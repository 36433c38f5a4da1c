"""What docker/ runs, run: the same commands on loopback, small tables, Dask's own programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from urllib.request import Request, urlopen

import numpy as np
import pytest

import gpuvgm
from tests.deploy.commands import (
    FOLDER,
    Command,
    containers,
    documents,
    health_of,
    images,
    of_container,
    of_service,
    shown_in_compose,
)
from tests.deploy.processes import ROOT, SECONDS, Machine, needs_dask, on_path
from tests.deploy.test_commands import parser_of, write_options
from tests.execution.distributed.working import wait_until

ROWS = 4000


def rows_of(model):
    return gpuvgm.load(model).model_.rows


@pytest.mark.parametrize("command", [one for one in images() if "gpu." not in one.origin], ids=str)
def test_an_image_answers(command, tmp_path):
    Machine(tmp_path, ports=()).run(command)


@pytest.mark.slow
@needs_dask
def test_compose(tmp_path):
    machine = Machine(tmp_path, ports=(8786, 8787, 8790))
    (generate,) = shown_in_compose()
    words = [str(ROWS) if word == "1e7" else word for word in generate.words]
    with machine.running(of_service("scheduler"), of_service("worker")):
        for service, port in [("scheduler", 8787), ("worker", 8790)]:
            machine.healthy(port)
            machine.run(health_of(service))
        machine.run(Command("generate", tuple(words)))
        machine.run(of_service("job"))
    assert rows_of(tmp_path / "tables" / "amount.gpuvgm") == ROWS


@pytest.fixture
def train(tmp_path):
    (tmp_path / "tables").mkdir()
    gpuvgm.generate(tmp_path / "tables" / "train", ROWS, file_rows=ROWS // 2)
    return tmp_path / "tables" / "train"


def commands_of(name):
    return [of_container(one, name) for document in documents(FOLDER / name) for one in containers(document)]


@pytest.mark.slow
def test_kubernetes_fit_and_nightly(tmp_path, train):
    machine = Machine(tmp_path, ports=())
    write_options(machine)
    (fit,) = commands_of("kubernetes/fit.yaml")
    machine.run(fit)
    model = tmp_path / "tables" / "model.gpuvgm"
    assert rows_of(model) == ROWS
    gpuvgm.generate(train, ROWS // 2, first_row=ROWS, file_rows=ROWS // 2)
    grow, evaluate = commands_of("kubernetes/nightly.yaml")
    machine.run(grow)
    assert rows_of(model) == ROWS + ROWS // 2
    machine.run(evaluate)
    report = json.loads((tmp_path / "tables" / "evaluation.json").read_text())
    assert report["broken"] == []


@pytest.mark.exhaustive
@needs_dask
def test_kubernetes_dask(tmp_path, train):
    variables = {"DASK_SCHEDULER_ADDRESS": "tcp://gpuvgm-scheduler:8786", "DASK_WORKER_NAME": "worker-1"}
    machine = Machine(tmp_path, ports=(8786, 8787, 8788), variables=variables)
    scheduler, worker, job = commands_of("kubernetes/dask.yaml")
    with machine.running(scheduler, worker):
        machine.healthy(8787)
        machine.healthy(8788)
        machine.run(job)
    assert rows_of(tmp_path / "tables" / "model.gpuvgm") == ROWS


@pytest.mark.parametrize("place", [pytest.param("compose", marks=pytest.mark.exhaustive), "kubernetes"])
def test_the_service(tmp_path, place):
    """It begins with a token only, and the probe's request is answered without."""
    command, health = of_service("serve"), health_of("serve")
    if place == "kubernetes":
        (command,) = commands_of("kubernetes/serve.yaml")
    machine = Machine(tmp_path, ports=(8080,))
    models = tmp_path / "tables" / "models"
    models.mkdir()
    gpuvgm.TableTransformer().fit({"Amount": np.arange(500.0)}).save(models / "amount.gpuvgm")
    gpuvgm.load(models / "amount.gpuvgm").save(models.parent / "amount.gpuvgm")
    machine.environment["GPUVGM_TOKEN"] = ""
    machine.run(command, code=2)
    machine.environment["GPUVGM_TOKEN"] = token = "0123456789abcdef"
    (tmp_path / "etc" / "gpuvgm" / "token").write_text(token)
    with machine.running(command):
        machine.healthy(8080)
        machine.run(health)
        asked = Request(
            f"http://127.0.0.1:{machine.ports['8080']}/v1/models", headers={"authorization": f"Bearer {token}"}
        )
        with urlopen(asked, timeout=60) as answer:
            assert [model["name"] for model in json.load(answer)["models"]] == ["amount"]


SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
PROGRAM = """#!/usr/bin/env bash
exec {python} -m {name} "$@"
"""


def slurm_job(folder, programs, **variables):
    """The Slurm script as a process, with some programs in front of this machine's."""
    for name, text in programs.items():
        on_path(folder, name, text)
    environment = {**os.environ, "SOURCE": "rows", **variables, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    script = ["bash", os.fspath(ROOT / "docker" / "slurm" / "gpuvgm.sbatch")]
    return subprocess.Popen(script, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed_by(job):
    """What a job prints that ends well."""
    with job:
        printed, said = job.communicate(timeout=SECONDS)
    assert job.returncode == 0, said
    return printed


@pytest.mark.exhaustive
@needs_dask
def test_slurm(tmp_path, train):
    programs = {name: PROGRAM.format(python=sys.executable, name=name) for name in ("gpuvgm", "dask")}
    model = tmp_path / "tables" / "model.gpuvgm"
    variables = {"SOURCE": os.fspath(train), "MODEL": os.fspath(model), "FIT_OPTIONS": "--effort research --summaries"}
    environment = Machine(tmp_path, ports=()).environment
    printed_by(slurm_job(tmp_path, {"srun": SRUN, **programs}, **environment | variables))
    assert rows_of(model) == ROWS
    assert sorted(path.name for path in model.parent.iterdir()) == ["model.gpuvgm", "train"]


SUBSTITUTES = {
    "dask": """#!/usr/bin/env bash
[[ $1 == scheduler ]] && echo '{"address": "tcp://here:1"}' > "${@: -1}"
echo $$ >> "$STEPS"
exec sleep 100
""",
    "gpuvgm": """#!/usr/bin/env bash
trap 'echo "ended: $*"; exit 143' TERM
echo started > "$STARTED"
while :; do sleep 0.05; done
""",
}


RECORDING = {
    "srun": """#!/usr/bin/env bash
echo "srun $*" >> "$STEPS"
while [[ $1 == --* ]]; do shift; done
exec "$@"
""",
    "dask": """#!/usr/bin/env bash
[[ $1 == scheduler ]] && echo '{"address": "tcp://here:1"}' > "${@: -1}"
exec sleep 100
""",
    "gpuvgm": """#!/usr/bin/env bash
until [[ $(wc -l < "$STEPS") == 2 ]]; do sleep 0.01; done
echo "gpuvgm $* CUDF_SPILL=${CUDF_SPILL:-}"
""",
}


@pytest.fixture(name="gpu_job")
def _gpu_job(tmp_path):
    """What the Slurm script prints on two nodes with four GPUs each, and how it starts the workers."""
    variables = {
        "MODEL": os.fspath(tmp_path / "model"),
        "FIT_OPTIONS": "--effort best",
        "STEPS": os.fspath(tmp_path / "steps"),
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_ON_NODE": "8",
    }
    printed = printed_by(slurm_job(tmp_path, RECORDING, **variables))
    (worker,) = [line for line in (tmp_path / "steps").read_text().splitlines() if " cuda worker " in line]
    return printed, worker


def test_slurm_with_gpus(gpu_job, tmp_path):
    """One task a node starts a worker for each of the node's GPUs, and the fit is one with CUDA."""
    printed, worker = gpu_job
    fit = f"gpuvgm fit rows --model {tmp_path}/model --scheduler tcp://here:1 --engine cuda --effort best CUDF_SPILL=on"
    assert fit in printed.splitlines()
    assert worker.startswith("srun --overlap --ntasks=2 --ntasks-per-node=1 --cpus-per-task=8 dask cuda worker ")


def test_slurm_options_of_gpu_workers_exist(gpu_job):
    _, words = gpu_job[1].split(" dask ")
    parser, words = parser_of(Command("slurm", ("dask", *words.split())))
    assert not parser.make_context("worker", words).args


def test_slurm_ends_the_fit_when_time_is_up(tmp_path):
    steps, started = tmp_path / "steps", tmp_path / "started"
    variables = {"MODEL": os.fspath(tmp_path / "model"), "STEPS": os.fspath(steps), "STARTED": os.fspath(started)}
    with slurm_job(tmp_path, {"srun": SRUN, **SUBSTITUTES}, **variables) as process:
        wait_until(lambda: started.exists() and steps.exists() and len(steps.read_text().split()) == 2)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert f"ended: fit rows --model {tmp_path}/model --scheduler tcp://here:1" in output
    assert not any(os.path.exists(f"/proc/{number}") for number in steps.read_text().split())
    assert not list(tmp_path.glob(".gpuvgm.*"))
