"""Orders that are random or follow from random ids: from one captured order to all right ones.

Laws: only what the contract calls random is free, and it is free consistently.
* A client shuffles its endpoints (section 5): after "got endpoints(...)" the endpoints of the
  capture may be any permutation of them, the same on every following line. The numbered errors of
  a request come in the order of the endpoints: any, unless it is said, and the same in both places.
* A listing that is not sorted has any order of its lines (9.8); so have two lines of two children
  of exec-watch, which run side by side (9.10).
* Members come in the order of their ids (9.11, 9.12), and the leader is whoever won: these are not
  free, they are arranged as the cluster at hand has them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, permutations

from tests.etcdctl.cases import Outcome

_ENDPOINT = re.compile(r"\{\{EP(\d)(ADDR)?\}\}")
_SYNCED = re.compile(r"^got endpoints\((.*)\) after sync$", re.MULTILINE)
_LISTED = "Cluster-Endpoints: "
_NUMBERED = re.compile(r"((?:; )?error #)(\d+)(: )(.*\n)")
_MEMBER = re.compile(r"(?:member |failed to check the health of member )?\{\{ID(\d)\}\}")
_LEADS = re.compile(r"isLeader=(true|false)")
_CLUSTER = re.compile(r'(?<=ETCD_INITIAL_CLUSTER=")[^"]*')
_PEER = re.compile(r"\{\{PEER(\d)\}\}")
PERMUTED_MAX = 5


@dataclass(frozen=True, slots=True)
class Roster:
    """The members at hand: hexadecimal ids by the number of the placeholder, and who leads."""

    ids: Mapping[int, str]
    leader: int | None = None

    def rank(self, number: int) -> int:
        """The place of a member in listings, to sort by."""
        return int(self.ids.get(number, "0"), 16)


def all_orders(outcomes: Sequence[Outcome], argv: Sequence[str], roster: Roster) -> list[Outcome]:
    """Every outcome that is right for this cluster, without repetition."""
    found: dict[Outcome, None] = {}
    for outcome in outcomes:
        stdout = _arranged(outcome.stdout, roster)
        for printed in _listings(stdout, argv):
            for said in _endpoint_orders(outcome.stderr):
                for text in _error_orders(said):
                    found[replace(outcome, stdout=printed, stderr=text)] = None
    return list(found)


# -- arranged ---------------------------------------------------------------------------------


def _arranged(stdout: str, roster: Roster) -> str:
    stdout = _CLUSTER.sub(lambda found: _arranged_cluster(found[0], roster), stdout)
    lines: list[str] = []
    for is_member, run in groupby(
        stdout.splitlines(keepends=True), lambda line: _number(line) > -1
    ):
        if is_member:
            # Sorting is stable: what a health check says of one member stays in its order.
            ordered = sorted(run, key=lambda line: roster.rank(_number(line)))
            lines += [_told(line, roster) for line in ordered]
        else:
            lines += run
    return "".join(lines)


def _number(line: str) -> int:
    found = _MEMBER.match(line)
    return int(found[1]) if found else -1


def _told(line: str, roster: Roster) -> str:
    if roster.leader is None:
        return line
    leads = "true" if _number(line) == roster.leader else "false"
    return _LEADS.sub(f"isLeader={leads}", line)


def _arranged_cluster(entries: str, roster: Roster) -> str:
    def rank(entry: str) -> int:
        found = _PEER.search(entry)
        return roster.rank(int(found[1])) if found else 0

    return ",".join(sorted(entries.split(","), key=rank))


# -- free -------------------------------------------------------------------------------------


def _listings(stdout: str, argv: Sequence[str]) -> Iterator[str]:
    lines = stdout.splitlines(keepends=True)
    is_free = "ls" in argv and "--sort" not in argv and all(line[0] == "/" for line in lines)
    is_free = is_free or ("exec-watch" in argv and len(lines) == 2)
    if is_free and 1 < len(lines) <= PERMUTED_MAX:
        yield from ("".join(order) for order in permutations(lines))
    else:
        yield stdout


def _endpoint_orders(stderr: str) -> Iterator[str]:
    found = _SYNCED.search(stderr)
    numbers = [endpoint[1] for endpoint in _ENDPOINT.finditer(found[1])] if found else []
    if found is None or len(numbers) < 2:
        yield stderr
        return
    before, after = stderr[: found.start()], stderr[found.start() :]
    for order in permutations(numbers):
        yield before + _renamed(after, dict(zip(numbers, order, strict=True)))


def _renamed(text: str, numbers: Mapping[str, str]) -> str:
    return _ENDPOINT.sub(lambda one: f"{{{{EP{numbers[one[1]]}{one[2] or ''}}}}}", text)


def _error_orders(stderr: str) -> Iterator[str]:
    errors = {int(found[2]): found[4] for found in _NUMBERED.finditer(stderr)}
    # Where the order of the endpoints is said, the errors follow it.
    if 1 < len(errors) <= PERMUTED_MAX and _LISTED not in stderr:
        for order in permutations(range(len(errors))):
            yield _renumbered(stderr, [errors[number] for number in order])
    else:
        yield stderr


def _renumbered(text: str, errors: Sequence[str]) -> str:
    return _NUMBERED.sub(lambda one: f"{one[1]}{one[2]}{one[3]}{errors[int(one[2])]}", text)
