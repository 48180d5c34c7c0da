"""The Dockerfile and the compose file; `python -m deploy.image` executes the former's steps."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from deploy.image import instructions
from tests.oracle.process import Pyetcd

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = instructions((ROOT / "Dockerfile").read_text())


def test_the_image_has_every_package() -> None:
    """Goal: what the wheel holds is copied into the build. Method: pyproject's list."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = [rest.split()[0] for name, rest in DOCKERFILE if name == "COPY"]
    assert [word for word in copied if "." not in word and "=" not in word] == packages


def test_the_server_does_not_run_as_root() -> None:
    """Goal: the last user of the last stage is not root. Method: the instructions."""
    users = [rest for name, rest in DOCKERFILE if name == "USER"]
    assert users[-1:] == ["etcd"]


def test_the_health_check_asks_the_server_itself() -> None:
    """Goal: a proxy in the container's environment does not make it unhealthy. Method: the command
    beside a server, with proxies that are not there.
    """
    (rest,) = [rest for name, rest in DOCKERFILE if name == "HEALTHCHECK"]
    _, *arguments = json.loads(rest.partition(" CMD ")[2])
    nobody = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:1")
    with Pyetcd() as server:
        line = [word.replace("http://127.0.0.1:2379", server.url) for word in arguments]
        done = subprocess.run([sys.executable, *line], env=os.environ | nobody, check=False)
    assert done.returncode == 0


def test_the_compose_file_is_one_cluster_of_three() -> None:
    """Goal: each member is in the list all are given. Method: the file, read as YAML."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    members = dict(
        entry.split("=", 1)
        for entry in services["infra1"]["environment"]["ETCD_INITIAL_CLUSTER"].split(",")
    )
    assert members == {
        service["environment"]["ETCD_NAME"]: service["environment"][
            "ETCD_INITIAL_ADVERTISE_PEER_URLS"
        ]
        for service in services.values()
    }
