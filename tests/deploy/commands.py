"""The commands in docker/: what the images, compose, Kubernetes and Slurm are told to run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "docker"
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Command:
    """Words that a container runs, and where they stand."""

    origin: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.origin}: {shlex.join(self.words)}"


def documents(path: Path) -> list[dict[str, Any]]:
    """What a file of manifests holds."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def instruction(path: Path, name: str) -> list[str]:
    """Words of the last instruction of a Dockerfile with this name; they are in the form of JSON."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(rf"^{name}\b[^\[\n]*(\[.*\])$", text, flags=re.MULTILINE)
    return list(json.loads(found[-1]))


def images() -> Iterator[Command]:
    """Entrypoint and health check of each image."""
    for path in DOCKERFILES:
        yield Command(f"{path.name} CMD", (*instruction(path, "ENTRYPOINT"), *instruction(path, "CMD")))
        yield Command(f"{path.name} HEALTHCHECK", tuple(instruction(path, "HEALTHCHECK")))


def of_service(name: str) -> Command:
    """What a service of the compose file runs."""
    service = COMPOSE["services"][name]
    return Command(f"compose {name}", (*service.get("entrypoint", ["gpuvgm"]), *service["command"]))


def health_of(name: str) -> Command | None:
    """The health check of a service of the compose file."""
    check = COMPOSE["services"][name].get("healthcheck")
    return None if check is None else Command(f"compose {name} healthcheck", tuple(check["test"][1:]))


def shown_in_compose() -> list[Command]:
    """Jobs that the head of the compose file shows."""
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    lines = re.findall(r"^# +docker compose run --rm job +([a-z][^#\n]*)", text, flags=re.MULTILINE)
    return [Command("head of compose.yaml", ("gpuvgm", *shlex.split(line))) for line in lines]


def pod_specs(node: Any) -> Iterator[dict[str, Any]]:
    """Every specification of a pod within a manifest."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for part in node.values():
            yield from pod_specs(part)
    elif isinstance(node, list):
        for part in node:
            yield from pod_specs(part)


def containers(node: Any) -> list[dict[str, Any]]:
    """Every container within a manifest, those that run first in front."""
    return [one for pod in pod_specs(node) for one in (*pod.get("initContainers", ()), *pod["containers"])]


def of_container(container: dict[str, Any], origin: str = "kubernetes") -> Command:
    """What a container of a manifest runs."""
    return Command(f"{origin} {container['name']}", (*container.get("command", ["gpuvgm"]), *container["args"]))


def every_command() -> list[Command]:
    """Every command in docker/ but those of the Slurm script, which runs as a whole."""
    found = [*images(), *map(of_service, COMPOSE["services"]), *shown_in_compose()]
    for path in MANIFESTS:
        for document in documents(path):
            found += [of_container(one, path.name) for one in containers(document)]
    return found
