"""What a member tells the cluster about itself, and what the cluster's leader adds to that.

Laws:

* A member is announced once its name and client URLs are committed, at each start anew; it is tried
  until it succeeds.
* It does not ask for that before a leader's entries are on its own disk. So one that is known by
  name and has no data has lost it, and so has one that is known by another birth (raft.births).
* The cluster's version is set once in the life of a cluster, by the leader; that is why a fresh
  cluster of N members is at index 2N + 1.
"""

import asyncio
import logging

from kvstore import Machine, Reply, birth_of, cluster_version
from kvstore.commands import PublishMember, SetClusterVersion, encode
from raft import DataLost, Node, ProposalFailed
from server.options.config import Config
from server.version import CLUSTER_VERSION

_RETRY_S = 1.0
_LOOK_S = 0.05
"""How often a member looks whether there is a version yet, or whether it has come to lead."""

_logger = logging.getLogger("etcdserver")


async def catch_up(node: Node[Reply], timeout_s: float) -> None:
    """Wait until a local read shows all that was ever acknowledged, but not longer than that."""
    barrier = node.read_barrier()
    # If it fails later, nobody needs to hear of it.
    barrier.add_done_callback(asyncio.Future.exception)
    await asyncio.wait([barrier], timeout=timeout_s)
    if not barrier.done():
        _logger.warning("%s: serving reads of what this member knows", _lacking(node))


async def announce(node: Node[Reply], machine: Machine, config: Config) -> None:
    """Wait for a leader, and have this member's name, client URLs and birth committed.

    Raises DataLost if the birth was another one before.
    """
    said = ""
    while True:
        try:
            await node.read_barrier()
            break
        except ProposalFailed:
            if (words := _lacking(node)) != said:
                said = words
                _logger.warning("%s; this member is not announced yet", words)
    client_urls = tuple(url.text for url in config.advertise_client_urls)
    me = node.identity
    await _commit(node, encode(PublishMember(me.member_id, config.name, client_urls, me.birth)))
    if birth_of(machine.store.tree, me.member_id) != me.birth:
        raise DataLost("the members know this one by data that is not here")
    _logger.info("published name %s and client URLs %s", config.name, ", ".join(client_urls))


async def agree_on_version(node: Node[Reply], machine: Machine) -> None:
    """See to it that the cluster has a version, if this member leads; wait for it otherwise."""
    while cluster_version(machine.store.tree) is None:
        if node.status.is_leader:
            await _commit(node, encode(SetClusterVersion(CLUSTER_VERSION)))
        else:
            await asyncio.sleep(_LOOK_S)


def _lacking(node: Node[Reply]) -> str:
    """Why this member may not know yet all that was acknowledged, as far as it can tell."""
    leader = node.status.leader
    if not leader:
        words = "there is no leader yet"
    elif leader == node.identity.member_id:
        words = "this member leads, but no majority has confirmed that yet"
    else:
        words = f"member {leader:x} leads, but has not brought this one up to date yet"
    if node.driver.disk_full:
        words += ", and the disk of this member's data directory is full"
    return words


async def _commit(node: Node[Reply], command: bytes) -> None:
    said = ""
    while True:
        try:
            await node.propose(command, reserved=True)
        except ProposalFailed as failure:
            if str(failure) != said:
                said = str(failure)
                _logger.warning("could not publish this member: %s; retrying", failure)
            await asyncio.sleep(_RETRY_S)
        else:
            return
