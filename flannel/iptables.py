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
-ip-masq is off now. Rules of others are not touched. Nothing is removed at exit.
"""

import asyncio
import contextlib
import logging
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network

PROGRAM, RESTORE = "iptables", "iptables-restore"
RUN_S = 30.0
"""How long one call may wait for the lock that others hold."""

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
    whole = masquerade(network, network)
    return RuleSet(
        whole.table, whole.chain, (), lambda rule: rule in whole.rules or whole.is_former(rule)
    )


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


async def ensure(rules: RuleSet) -> bool:
    """Put a set in place if it is not; whether anything was done. Raises IptablesError."""
    listing = await _run([PROGRAM, "-w", "-t", rules.table, "-S", rules.chain])
    present = rules.present(listing)
    if present == list(rules.rules):
        return False
    if present and rules.rules:
        _log.info("Some iptables rules are missing; deleting and recreating rules")
    for rule in present:
        _log.info("Deleting iptables rule: %s", rule)
    for rule in rules.rules:
        _log.info("Adding iptables rule: %s", rule)
    await _run([RESTORE, "-w", "--noflush"], rules.instead_of(present))
    return True


async def clear(rules: RuleSet) -> None:
    """Remove what an earlier run has left; there is nothing left where there is no iptables."""
    if shutil.which(PROGRAM) is None:
        return
    try:
        await ensure(rules)
    except IptablesError as error:
        _log.warning("Removing iptables rules that an earlier run may have left: %s", error)


class Guard:
    """Sets of rules, checked again and again."""

    def __init__(self, sets: Sequence[RuleSet]) -> None:
        self._sets = sets
        self._said = ""

    async def check(self) -> None:
        """Put in place what is not; a set that fails keeps no other one from it. Failures are said
        once, until all goes right again."""
        failures = []
        for rules in self._sets:
            try:
                await ensure(rules)
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


async def _run(line: Sequence[str], given: str = "") -> str:
    """Run a program on what it is given; what it prints."""
    try:
        process = await asyncio.create_subprocess_exec(
            *line,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise IptablesError(f"cannot run {line[0]}: {reason} (is it installed?)") from None
    try:
        async with asyncio.timeout(RUN_S):
            output, complaint = await process.communicate(given.encode())
    except TimeoutError:
        raise IptablesError(f"{shlex.join(line)} took more than {RUN_S:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        said = complaint.decode(errors="replace").strip().partition("\n")[0]
        raise IptablesError(f"{shlex.join(line)}: {said or f'exit {process.returncode}'}")
    return output.decode(errors="replace")
