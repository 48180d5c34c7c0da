"""One history, made of a seed: requests and faults, step by step, and judgement in the end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.simulation.faults import Faults
from tests.simulation.judgement import judge
from tests.simulation.loop import MS
from tests.simulation.watching import WatchClient
from tests.simulation.workload import Workload
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.moods import Mood


class Schedule:
    """Makes one history."""

    def __init__(self, seed: int, mood: Mood, trace: Callable[[str], None] | None = None) -> None:
        self.mood = mood
        self.luck = random.Random(f"{mood.name}/{seed}/schedule")
        members = self.luck.choice(mood.members)
        self.world = World(f"{mood.name}/{seed}", mood, members=members, trace=trace)
        self._workload = Workload(self.world, self.luck)
        self._faults = Faults(self.world, self.luck)

    def run(self) -> None:
        """Make the whole history; raises Violation."""
        with self.world.running():
            self._run()

    def _run(self) -> None:
        world, register = self.world, self._workload.registers[0]
        for member in world.members.values():
            member.boot()
        for path, recursive, stream in (
            (b"/", True, True),
            (b"/q", True, False),
            (register, False, True),
            (b"/d0", True, False),
            (b"/d0/x", False, True),
            (b"/d1/e", True, True),
        ):
            watcher = WatchClient(world, path, recursive=recursive, stream=stream)
            world.watchers.append(watcher)
        for _ in range(self.mood.steps):
            self._step()
        judge(world)

    def _step(self) -> None:
        world, luck = self.world, self.luck
        self._faults.some()
        if serving := [member for member in world.up if member.serves]:
            for watcher in world.watchers:
                if watcher.broken:
                    watcher.attach(luck.choice(serving))
            for _ in range(luck.choice(self.mood.requests)):
                self._workload.request(serving)
        world.run_for(luck.choice(self.mood.step_ms) * MS)
