"""Masquerade and forward rules, kept in place by the iptables program.

N is the network, S our own subnet. nat POSTROUTING, in this order:

    -s N -d N -j RETURN                  inside the network nothing is hidden
    -s N ! -d 224.0.0.0/4 -j MASQUERADE  containers reach the world as the host
    ! -s N -d S -j RETURN                what comes to our own containers keeps its sender
    ! -s N -d N -j MASQUERADE            what goes to others' containers returns by us

filter FORWARD: `-s N -j ACCEPT`, `-d N -j ACCEPT`, for Docker sets the policy to DROP.

Laws: order counts, so if one rule is missing, twice there or out of order, all of its set are
removed and appended again, in one step: whatever ends us, there is no half a set. The third rule is
of the set whatever part of N its S is: one of an earlier run goes, and so do all four where
-ip-masq is off now. Rules of others are not touched. Nothing is removed at exit; by a start that
fails, the sets of which nothing was there before it.
"""

import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Network

PROGRAM, RESTORE = "iptables", "iptables-restore"
RUN_S = 30.0
"""How long one call may wait for the lock that others hold."""
UNDO_RUN_S = 3.0
"""The same for a start that failed, or was told to end."""

_log = logging.getLogger(__name__)


class IptablesError(Exception):
    """The program failed; the message carries its words."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that belong together, in the words of `iptables -S`."""

    table: str
    chain: str
    rules: tuple[str, ...]
    is_former: Callable[[str], bool] = lambda _: False
    """Whether a rule is one of an earlier run's set."""

    @property
    def emptied(self) -> "RuleSet":
        """None of these rules: what is there of them is removed."""
        return replace(
            self, rules=(), is_former=lambda rule: rule in self.rules or self.is_former(rule)
        )

    def present(self, listing: str) -> list[str]:
        """Those of the rules a listing of the chain has, in its order."""
        prefix = f"-A {self.chain} "
        lines = (line.strip() for line in listing.splitlines())
        rules = (line.removeprefix(prefix) for line in lines if line.startswith(prefix))
        return [rule for rule in rules if rule in self.rules or self.is_former(rule)]

    def instead_of(self, present: Sequence[str]) -> str:
        """What makes iptables-restore put all rules in the place of those."""
        lines = [f"-D {self.chain} {rule}" for rule in present]
        lines += [f"-A {self.chain} {rule}" for rule in self.rules]
        return "\n".join([f"*{self.table}", *lines, "COMMIT", ""])


def masquerade(network: IPv4Network, subnet: IPv4Network) -> RuleSet:
    """The rules of -ip-masq."""
    return RuleSet(
        "nat",
        "POSTROUTING",
        (
            f"-s {network} -d {network} -j RETURN",
            f"-s {network} ! -d 224.0.0.0/4 -j MASQUERADE",
            f"! -s {network} -d {subnet} -j RETURN",
            f"! -s {network} -d {network} -j MASQUERADE",
        ),
        partial(_lets_in, network),
    )


def no_masquerade(network: IPv4Network) -> RuleSet:
    """None of these rules; those of an earlier run are removed."""
    return masquerade(network, network).emptied


def _lets_in(network: IPv4Network, rule: str) -> bool:
    """Whether a rule is the third one, for some part of the network."""
    start, end = f"! -s {network} -d ", " -j RETURN"
    if not (rule.startswith(start) and rule.endswith(end)):
        return False
    try:
        return IPv4Network(rule.removeprefix(start).removesuffix(end)).subnet_of(network)
    except ValueError:
        return False


def forward(network: IPv4Network) -> RuleSet:
    """The rules that let containers' packets through."""
    return RuleSet("filter", "FORWARD", (f"-s {network} -j ACCEPT", f"-d {network} -j ACCEPT"))


async def _present(rules: RuleSet, within_s: float = RUN_S) -> list[str]:
    """Those of a set that are there."""
    listing = await _run([PROGRAM, "-w", "-t", rules.table, "-S", rules.chain], within_s=within_s)
    return rules.present(listing)


async def _put(rules: RuleSet, present: Sequence[str], within_s: float = RUN_S) -> None:
    """Put a set in the place of those of it that are there, if these are not all of it."""
    if list(present) == list(rules.rules):
        return
    if present and rules.rules:
        _log.info("Some iptables rules are missing; deleting and recreating rules")
    for rule in present:
        _log.info("Deleting iptables rule: %s", rule)
    for rule in rules.rules:
        _log.info("Adding iptables rule: %s", rule)
    await _run([RESTORE, "-w", "--noflush"], rules.instead_of(present), within_s)


async def clear(rules: RuleSet) -> None:
    """Remove what an earlier run has left; there is nothing left where there is no iptables."""
    if shutil.which(PROGRAM) is None:
        return
    try:
        await _put(rules, await _present(rules))
    except IptablesError as error:
        _log.warning("Removing iptables rules that an earlier run may have left: %s", error)


class Guard:
    """Sets of rules, checked again and again."""

    def __init__(self) -> None:
        self._sets: Sequence[RuleSet] = ()
        self._added: list[RuleSet] = []
        """Those of which nothing was there."""
        self._said = ""

    async def begin(self, sets: Sequence[RuleSet]) -> None:
        """Keep these from now on."""
        self._sets = sets
        await self.check()

    async def undo(self) -> None:
        """Remove the sets of which nothing was there before; one that cannot be stays, and that is
        said."""
        for rules in self._added:
            try:
                emptied = rules.emptied
                await _put(emptied, await _present(emptied, UNDO_RUN_S), UNDO_RUN_S)
            except IptablesError as error:
                _log.error("Removing the iptables rules of this start: %s", error)

    async def check(self) -> None:
        """Put in place what is not; a set that fails keeps no other one from it. Failures are said
        once, until all goes right again."""
        failures = []
        for rules in self._sets:
            try:
                present = await _present(rules)
                if not present and rules not in self._added:
                    self._added.append(rules)
                await _put(rules, present)
            except IptablesError as error:
                failures.append(str(error))
        said = "; ".join(failures)
        if said and said != self._said:
            _log.error("Failed to ensure iptables rules: %s", said)
        self._said = said

    async def keep(self, every_s: float) -> None:
        """Check for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.check()


async def _run(line: Sequence[str], given: str = "", within_s: float = RUN_S) -> str:
    """Run a program on what it is given; what it prints."""
    starting = asyncio.ensure_future(_start(line))
    try:
        async with asyncio.timeout(within_s):
            # Who is interrupted here would leave it to asyncio to end the program, as below.
            process = await asyncio.shield(starting)
            output, complaint = await process.communicate(given.encode())
    except TimeoutError:
        raise IptablesError(f"{shlex.join(line)} took more than {within_s:.0f} s") from None
    finally:
        with contextlib.suppress(IptablesError):
            await _end(await starting)
    if process.returncode:
        said = complaint.decode(errors="replace").strip().partition("\n")[0]
        raise IptablesError(f"{shlex.join(line)}: {said or f'exit {process.returncode}'}")
    return output.decode(errors="replace")


async def _start(line: Sequence[str]) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *line,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise IptablesError(f"cannot run {line[0]}: {reason} (is it installed?)") from None


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            # Its own `kill` looks first whether it has ended, and takes the exit code from asyncio,
            # which says on stderr that it misses it.
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
