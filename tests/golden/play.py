"""Plays a script on a stage and compares."""

from pathlib import Path

from tests.golden.script import Block, load
from tests.golden.stages import Stage
from tests.oracle.normalise import text_of

FOLDER = Path(__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.txt"))


def results(blocks: list[Block], stage: Stage) -> list[str]:
    """What the commands give on this stage."""
    try:
        return [stage.play(block.command) for block in blocks]
    finally:
        stage.close()


def differences(path: Path, stage: Stage) -> list[str]:
    """Where the results are not those of the script."""
    blocks = load(path)
    return [
        f"{path.name}:{block.number}: {block.line}\nexpected\n{block.expected}\ngot\n{got}"
        for block, got in zip(blocks, results(blocks, stage), strict=True)
        if not text_of(block.expected.encode()).equals(text_of(got.encode()))
    ]
