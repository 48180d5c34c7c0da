"""The Dockerfile without a container engine: `python -m deploy.image`, as root on Debian.

Its steps are executed in directory trees made by debootstrap, then the entry point is started
there, as the image's user, until the health check passes and a key has been written and read.

Laws: only the instructions that the Dockerfile uses are known, an unknown one is an error; a stage
is an overlay on its base, so bases are made once; everything is in a mount and a PID namespace of
its own and on a temporary directory, and nothing of it is left. The base is Debian's own Python in
the place of the official image's.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.lab import lifeline
from deploy.lab.hosts import hold, let_go

ROOT: Final = Path(__file__).resolve().parents[1]
_MARK: Final = "PYETCD_IMAGE_SPACE"
_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,python3-venv,ca-certificates"
_HEALTHY_S: Final = 60.0
_END_S: Final = 30.0
# How this machine reaches its package indexes is its own affair, and the same in there.
_SETTINGS: Final = (
    "/etc/pip.conf",
    "/etc/xdg/pip",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/ssl/certs/ca-certificates.crt",
)


class ImageFailed(Exception):
    """A step failed, or is none that is known."""


@dataclass(slots=True)
class Stage:
    """A tree, and what the instructions have set so far."""

    root: Path
    directory: str = "/"
    user: str = "root"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    # What enters the network that programs run in.
    enter: list[str] = field(default_factory=list)

    def prefix(self) -> list[str]:
        """What runs a program in the tree, as its user."""
        return [*self.enter, "chroot", f"--userspec={self.user}", str(self.root)]

    def run(self, words: list[str], *, check: bool = True) -> int:
        """Run a program in the tree; its exit status."""
        inside = f'cd {shlex.quote(self.directory)} && exec "$@"'
        done = subprocess.run(
            [*self.prefix(), "sh", "-c", inside, "-", *words], env=self.variables, check=False
        )
        if check and done.returncode:
            raise ImageFailed(f"{shlex.join(words)}: exit {done.returncode}")
        return done.returncode

    @property
    def variables(self) -> dict[str, str]:
        """What programs in it get."""
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"PATH": path, "HOME": "/tmp", "LANG": "C.UTF-8"} | pip | self.environment


class Builder:
    """Executes a Dockerfile."""

    def __init__(self, space: Path) -> None:
        self._space = space
        self._base: Path | None = None
        self._stages: dict[str, Stage] = {}
        self._stage: Stage | None = None

    def build(self, dockerfile: Path) -> Stage:
        """Execute all instructions; the last stage."""
        for instruction, rest in instructions(dockerfile.read_text()):
            say(f"{instruction} {rest}")
            if instruction == "FROM":
                self._from(rest)
                continue
            if self._stage is None:
                raise ImageFailed(f"{instruction} before FROM")
            self._step(self._stage, instruction, rest)
        if self._stage is None:
            raise ImageFailed("there is no FROM")
        return self._stage

    def _step(self, stage: Stage, instruction: str, rest: str) -> None:
        match instruction:
            case "WORKDIR":
                stage.directory = rest
                (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(stage, shlex.split(rest))
            case "RUN":
                stage.run(["sh", "-c", rest])
            case "USER":
                stage.user = rest
            case "ENV":
                name, _, value = rest.partition("=")
                stage.environment[name] = value
            case "HEALTHCHECK":
                stage.health = json.loads(rest.partition(" CMD ")[2])
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(rest)
            case "VOLUME" | "EXPOSE":
                pass
            case _:
                raise ImageFailed(f"an instruction that is not known here: {instruction}")

    def _from(self, rest: str) -> None:
        image, _, name = rest.partition(" AS ")
        if not image.startswith("python:"):
            raise ImageFailed(f"FROM {image}: only Python's images have a stand-in here")
        if self._base is None:
            self._base = self._bootstrapped()
        place = self._space / f"stage{len(self._stages)}"
        for part in ("upper", "work", "root"):
            (place / part).mkdir(parents=True)
        layers = f"lowerdir={self._base},upperdir={place / 'upper'},workdir={place / 'work'}"
        mount("-t", "overlay", "overlay", "-o", layers, str(place / "root"))
        for kind in ("proc", "dev"):
            mount("--rbind", f"/{kind}", str(place / "root" / kind))
        self._stage = self._stages[name or f"#{len(self._stages)}"] = Stage(place / "root")

    def _bootstrapped(self) -> Path:
        base = self._space / "base"
        say(f"(debootstrap {_SUITE}, in the place of the base image)")
        line = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(base)]
        done = subprocess.run(
            [*line, *mirror()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise ImageFailed(f"{shlex.join(line)}: exit {done.returncode}\n{done.stdout[-2000:]}")
        for name in _SETTINGS:
            source, target = Path(name), base / name.lstrip("/")
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        # The official images have python and pip in /usr/local/bin.
        Stage(base).run(["python3", "-m", "venv", "/usr/local"])
        return base

    def _copy(self, stage: Stage, words: list[str]) -> None:
        origin = ROOT
        if words[0].startswith("--from="):
            origin = self._stages[words.pop(0).removeprefix("--from=")].root
        *sources, target = words
        goal = stage.root / os.path.join(stage.directory, target).lstrip("/")
        for source in sources:
            path = origin / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(
                    path, goal, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                goal.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, goal)


def instructions(text: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in their order."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [line.strip().partition(" ") for line in lines if line.strip()]
    return [(name.upper(), rest.strip()) for name, _, rest in words if not name.startswith("#")]


def mirror() -> list[str]:
    """The mirror this machine's own packages come from."""
    for path in (*Path("/etc/apt/sources.list.d").glob("*.sources"), Path("/etc/apt/sources.list")):
        if path.exists():
            for word in path.read_text().split():
                if word.startswith(("http://", "https://")) and word.rstrip("/").endswith(
                    "/debian"
                ):
                    return [word]
    return []


def mount(*words: str) -> None:
    """Mount something in our namespace."""
    subprocess.run(["mount", *words], check=True)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def try_out(stage: Stage) -> None:
    """Start the image as it would be started, and use it."""
    # A network of its own: 2379 is the image's, whoever else has it on this machine.
    network = hold("--net")
    stage.enter = ["nsenter", f"--target={network.pid}", "--net", "--"]
    subprocess.run([*stage.enter, "ip", "link", "set", "lo", "up"], check=True)
    inside = f'cd {shlex.quote(stage.directory)} && exec "$@"'
    say(f"> {shlex.join(stage.entrypoint)}, as {stage.user}")
    server = subprocess.Popen(
        [*stage.prefix(), "sh", "-c", inside, "-", *stage.entrypoint],
        env=stage.variables,
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _HEALTHY_S
        while stage.run(stage.health, check=False):
            if server.poll() is not None or time.monotonic() > deadline:
                raise ImageFailed("it does not become healthy")
            time.sleep(0.2)
        say("> healthy")
        if Path(f"/proc/{server.pid}").stat().st_uid == 0:
            raise ImageFailed("the server runs as root")
        stage.run(["pyetcdctl", "set", "/image", "works"])
        stage.run(["pyetcdctl", "get", "/image"])
    finally:
        server.terminate()
        server.wait(_END_S)
        let_go(network)
    say(f"> ended by signal {-server.returncode}")


def main() -> int:
    """Build and try; 0 if all went well."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        say("python -m deploy.image wants root and debootstrap")
        return 1
    if _MARK not in os.environ:
        os.chdir(ROOT)
        line = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        line += [sys.executable, "-m", "deploy.image"]
        return lifeline.run(line, os.environ, _MARK, "pyetcd-image-")
    lifeline.hold()
    try:
        stage = Builder(Path(os.environ[_MARK])).build(ROOT / "Dockerfile")
        try_out(stage)
    except ImageFailed as error:
        say(f"FAILED: {error}")
        return 1
    say("The image works.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
