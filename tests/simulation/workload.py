"""What clients ask for at random: registers that are judged for linearizability, a queue, keys with
a TTL, directories, and all that a store refuses.

Law: no two writes of a register's value are equal, so that a value found tells which write it was.
Only plain deletes, and what is asked of directories, may be equal to what was asked before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore.commands import (
    CompareAndDelete,
    CompareAndSwap,
    Create,
    CreateInOrder,
    Delete,
    Set,
    Update,
)

if TYPE_CHECKING:
    import random

    from kvstore.commands import KeyCommand
    from tests.simulation.member import Member
    from tests.simulation.world import World

REGISTERS = 4
DIRECTORIES = (b"/d0", b"/d1")
# The longest TTL that anybody asks for.
TTL_MAX_S = 2
# How much longer than its number a value is.
SIZES = (0, 0, 0, 0, 10, 600, 3000)
# What JSON and the journal have to take care of.
ODD = (b"", b"", b"", b'\xff"\\<\x01\n', "\u2028\u00e9".encode(), bytes(700))
# After so many requests a register is left for a new one: histories stay short.
REGISTER_REQUESTS_MAX = 60
# Of a request: how likely it is a quorum read, and a look at what a member has.
READS = 0.3
LOOKS = 0.05


class Workload:
    """Asks members of a world."""

    def __init__(self, world: World, luck: random.Random) -> None:
        self._world = world
        self._luck = luck
        self._number = 0
        # The values each key was ever meant to have.
        self._values: dict[bytes, list[bytes]] = {}
        self._asked = [0] * REGISTERS
        self.registers = [self._register(number) for number in range(REGISTERS)]

    def _register(self, number: int) -> bytes:
        return b"/r%d-%d" % (number, self._asked[number] // REGISTER_REQUESTS_MAX)

    def next_number(self) -> int:
        """Return a number that was not used yet."""
        self._number += 1
        return self._number

    def request(self, serving: list[Member]) -> None:
        """Ask one of these members for something."""
        member = self._luck.choice(serving)
        number = self._luck.randrange(REGISTERS)
        key = self.registers[number]
        self._asked[number] += 1
        self.registers[number] = self._register(number)
        kind = self._luck.random()
        if kind < READS:
            self._world.clients.read(member, key)
        elif kind < READS + LOOKS:
            self._world.clients.look(member, self._luck.choice((b"/", b"/q", *DIRECTORIES, key)))
        else:
            self._world.clients.write(member, self._command(key))

    def _command(self, key: bytes) -> KeyCommand:
        luck = self._luck
        number = self.next_number()
        value = b"%d" % number + b"-" * luck.choice(SIZES)
        known = self._values.setdefault(key, [])
        kind = luck.random()
        if kind < 0.08:
            return Delete(key)
        if kind < 0.12 and known:
            return CompareAndDelete(key, known.pop(luck.randrange(len(known))), 0)
        if kind < 0.18:
            return CreateInOrder(b"/q", value + luck.choice(ODD))
        if kind < 0.28:
            return self._mortal(value)
        if kind < 0.38:
            return self._directory(value)
        previous = luck.choice(known[-4:]) if known else b""
        known.append(value)
        if kind < 0.6 and previous:
            return CompareAndSwap(key, value, previous, 0)
        if kind < 0.65:
            return CompareAndSwap(key, value, b"", luck.randrange(1, number + 1))
        if kind < 0.72:
            return Create(key, value)
        if kind < 0.78:
            return Update(key, value)
        return Set(key, value)

    def _mortal(self, value: bytes) -> KeyCommand:
        """A key that runs out, or does so later, or not any more."""
        luck = self._luck
        key = b"/t%d" % luck.randrange(8)
        kind = luck.random()
        if kind < 0.6:
            return Set(key, value, ttl=luck.choice((1, 1, 2, TTL_MAX_S)))
        if kind < 0.75:
            return Update(key, value, ttl=luck.choice((None, 1, 2)))
        refreshed: list[KeyCommand] = [
            Set(key, ttl=2, refresh=True),
            Update(key, ttl=1, refresh=True),
            CompareAndSwap(key, b"", value, 0, ttl=1, refresh=True),
        ]
        return luck.choice(refreshed)

    def _directory(self, value: bytes) -> KeyCommand:
        """Something with directories, much of which is refused."""
        luck = self._luck
        directory = luck.choice(DIRECTORIES)
        file = directory + luck.choice((b"/x", b"/x", b"/y", b"/_hidden", b"/e/x"))
        asked: list[KeyCommand] = [
            Set(file, value),
            Set(file, value),
            Set(file, value),
            Create(directory, dir=True),
            Create(directory, dir=True, ttl=luck.choice((None, 1))),
            CreateInOrder(directory, value),
            CreateInOrder(directory, dir=True),
            Set(directory, dir=True, ttl=luck.choice((None, 2))),
            Update(directory, ttl=luck.choice((None, 1, 2))),
            Update(directory, value),
            CompareAndSwap(directory, value, b"x", 0),
            CompareAndDelete(directory, b"x", 0),
            Delete(directory),
            Delete(directory, dir=True),
            Delete(directory, dir=True, recursive=True),
            Delete(directory, recursive=True),
            Set(directory, value),
            Set(b"/", value),
            Create(b"/", value),
            Delete(b"/", recursive=True),
        ]
        return luck.choice(asked)
