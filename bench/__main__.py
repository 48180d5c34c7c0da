"""`python -m bench [throughput|memory|start|pause|cluster]`; throughput is what no name means."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from bench import cluster, memory, pause, startup, throughput
from bench.errors import BenchError
from tests.oracle.process import StartError

_DEFAULT: Final = "throughput"
_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "throughput": throughput.measure,
    "memory": memory.measure,
    "start": startup.measure,
    "pause": pause.measure,
    "cluster": cluster.measure,
}


def main(arguments: list[str]) -> int:
    """Run one measurement; 1 if it could not be done."""
    if not arguments or arguments[0] not in (*_COMMANDS, "-h", "--help"):
        arguments = [_DEFAULT, *arguments]
    options = vars(_parser().parse_args(arguments))
    try:
        _COMMANDS[options.pop("command")](**options)
    except (BenchError, StartError, subprocess.SubprocessError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command")
    rates = _command(commands, "throughput", "GET and PUT rates beside a real etcd's (default)")
    rates.add_argument("--rounds", type=_positive, default=5)
    rates.add_argument("--seconds", type=_positive, default=3, help="length of one load")
    rates.add_argument("--only", choices=("get", "put"))
    for name, words in (
        ("memory", "resident memory with 100,000 keys"),
        ("start", "start, and restart with 100,000 keys"),
    ):
        command = _command(commands, name, words)
        command.add_argument("--keys", type=_positive, default=100_000)
        command.add_argument("--value-bytes", type=_positive, default=100)
        if name == "start":
            command.add_argument("--runs", type=_positive, default=5)
    pauses = _command(commands, "pause", "the event loop's longest pauses with 1,000,000 keys")
    pauses.add_argument("--keys", type=_positive, default=1_000_000)
    pauses.add_argument("--value-bytes", type=_positive, default=100)
    pauses.add_argument("--runs", type=_positive, default=5)
    pauses.add_argument("--seconds", type=_positive, default=20, help="length of one run's load")
    pauses.add_argument("--snapshot-count", type=_positive, default=20_000)
    pauses.add_argument(
        "--stacks", action="store_true", help="sample the stack in long pauses; costs a little"
    )
    clusters = _command(commands, "cluster", "three members of each on this machine")
    clusters.add_argument("--rounds", type=_positive, default=3)
    clusters.add_argument("--seconds", type=_positive, default=3, help="length of one load")
    clusters.add_argument("--failovers", type=_not_negative, default=5)
    clusters.add_argument("--missed", type=_not_negative, default=100_000, metavar="WRITES")
    return parser


_DESCRIPTION: Final = "Measures pyetcd beside a real etcd. See bench/README.md."


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, words: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=words, description=words)
    command.add_argument("--json", dest="json_file", metavar="FILE", help="write the figures")
    command.add_argument("--directory", help="where the data goes; default: the temporary one")
    return command


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
