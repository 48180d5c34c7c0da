"""One running member, from recovered data to the last answer.

Laws: clients are served once the member's own attributes are committed, and READY=1 is said then
and not before. A failure of the log ends the process at once, with one line and without another
answer. A signal drains: polls get their empty answer, answers under way go out, what was
acknowledged is on disk already.
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Sequence
from typing import NoReturn

from api import App, Backend, Versions, client_app, metrics_app, peer_app
from kvstore import Machine, Reply, cluster_version
from kvstore.commands import AddMember, PublishMember, SetClusterVersion, encode
from raft import Bootstrap, Identity, Node, NodeConfig, Peer, ProposalFailed, Timing
from server import hosts, log, systemd
from server.datadir import DataDir
from server.identity import bootstrap, require_lone_member
from server.listeners import bind_all, close_all
from server.options.config import Config
from server.options.urls import parse_urls
from server.version import CLUSTER_VERSION, ETCD_VERSION, __version__

_DRAIN_S = 2.0

# etcd keeps as many descriptors for itself.
FILES_RESERVED = 150

_logger = logging.getLogger("etcdserver")
_main_logger = logging.getLogger("etcdmain")


class Process:
    """A member of the cluster with its listeners."""

    def __init__(self, config: Config, data_dir: DataDir) -> None:
        self._config = config
        self._data_dir = data_dir
        self._machine = Machine()
        self._servers: list[asyncio.Server] = []
        self._apps: list[App] = []
        self._signalled: asyncio.Future[signal.Signals] | None = None

    async def run(self) -> signal.Signals:
        """Serve until a signal comes; return it."""
        config = self._config
        loop = asyncio.get_running_loop()
        signalled = self._signalled = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        peers, clients, metrics = [], [], []
        try:
            peers = bind_all(config.listen_peer_urls)
            clients = bind_all(config.listen_client_urls)
            metrics = bind_all(config.listen_metrics_urls)
            node = self._open_node()
            node.start()
            backend = self._backend(node)
            starting = asyncio.create_task(self._serve(backend, peers, clients, metrics))
            await asyncio.wait((starting, signalled), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            received: signal.Signals = await signalled
            starting.cancel()
            await self._drain(backend)
            return received
        finally:
            close_all((*peers, *clients, *metrics))

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signalled is not None and not self._signalled.done():
            words = "interrupt" if number == signal.SIGINT else "terminated"
            _main_logger.info("received %s signal, shutting down...", words)
            self._signalled.set_result(number)

    # -- start ------------------------------------------------------------------------------

    def _open_node(self) -> Node[Reply]:
        config, data_dir = self._config, self._data_dir
        identity = first = None
        if data_dir.has_data:
            _main_logger.info(
                "the server is already initialized as member before, starting as etcd member..."
            )
        else:
            cluster = bootstrap(config, hosts.resolve)
            require_lone_member(config, cluster)
            identity = Identity(cluster.cluster_id, cluster.local.id)
            first = Bootstrap(
                tuple(Peer(member.id, member.peer_urls) for member in cluster.members),
                [encode(AddMember(member.id, member.peer_urls)) for member in cluster.members],
            )
        node_config = NodeConfig(
            journal_directory=str(data_dir.wal),
            snapshot_directory=str(data_dir.snap),
            snapshot_count=config.snapshot_count,
            snapshots_max=config.max_snapshots,
            timing=Timing(config.heartbeat_interval_ms, config.election_timeout_ms),
            fsync=not config.unsafe_no_fsync,
        )
        if config.unsafe_no_fsync:
            _logger.warning("not waiting for the disk: a power loss undoes acknowledged writes")
        node = Node(self._machine, node_config, identity=identity, bootstrap=first, on_fatal=_die)
        _logger.info(
            "starting member %x in cluster %x", node.identity.member_id, node.identity.cluster_id
        )
        return node

    def _backend(self, node: Node[Reply]) -> Backend:
        backend = Backend(
            node=node,
            machine=self._machine,
            name=self._config.name,
            versions=Versions(ETCD_VERSION, CLUSTER_VERSION, __version__),
            cors=self._config.cors,
            host_whitelist=self._config.host_whitelist,
            check_urls=_check_urls,
            set_log_level=log.set_level,
        )
        node.driver.on_sync = lambda took_ns: backend.meter.syncs.observe(took_ns / 1e9)
        node.compactor.on_saved = backend.meter.snapshots.observe
        return backend

    async def _serve(
        self,
        backend: Backend,
        peers: list[socket.socket],
        clients: list[socket.socket],
        metrics: list[socket.socket],
    ) -> None:
        await self._listen(peer_app(backend), peers)
        await self._join(backend)
        app = client_app(
            backend, express=self._config.express_lane, connections_max=connections_max()
        )
        await self._listen(app, clients)
        if metrics:
            await self._listen(metrics_app(backend), metrics)
        for url in self._config.listen_client_urls:
            _main_logger.info("serving client requests on %s", url.authority)
        _main_logger.info("ready to serve client requests")
        systemd.notify("READY=1", os.environ)

    async def _listen(self, app: App, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        self._apps.append(app)
        for listener in sockets:
            if listener.family == socket.AF_UNIX:
                server = await loop.create_unix_server(app.protocol, sock=listener)
            else:
                server = await loop.create_server(app.protocol, sock=listener)
            self._servers.append(server)

    async def _join(self, backend: Backend) -> None:
        """Wait for a leader, and have this member's name and client URLs committed."""
        node, config = backend.node, self._config
        while True:
            try:
                await node.read_barrier()
                break
            except ProposalFailed:
                _logger.warning("still waiting for a leader; clients are not served yet")
        backend.leader_since_ns = time.time_ns()
        backend.meter.leader_changes += 1
        _logger.info("became leader at term %d", node.term)
        client_urls = tuple(url.text for url in config.advertise_client_urls)
        publish = PublishMember(node.identity.member_id, config.name, client_urls)
        await self._commit(node, encode(publish))
        _logger.info("published name %s and client URLs %s", config.name, ", ".join(client_urls))
        if cluster_version(self._machine.store.tree) is None:
            await self._commit(node, encode(SetClusterVersion(CLUSTER_VERSION)))

    async def _commit(self, node: Node[Reply], command: bytes) -> None:
        while True:
            try:
                await node.propose(command, reserved=True)
            except ProposalFailed as failure:
                _logger.warning("could not publish this member: %s; retrying", failure)
                await asyncio.sleep(1.0)
            else:
                return

    # -- end --------------------------------------------------------------------------------

    async def _drain(self, backend: Backend) -> None:
        for server in self._servers:
            server.close()
        backend.feeds.drain()
        await backend.node.driver.settle(_DRAIN_S)
        await backend.node.stop()
        await asyncio.gather(*(app.stop(_DRAIN_S) for app in self._apps))
        self._data_dir.close()


def connections_max() -> int:
    """How many clients may connect: the file limit, less what the server itself needs."""
    return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_RESERVED)


def _check_urls(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(url.text for url in parse_urls(texts))


def _die(error: BaseException) -> NoReturn:
    """End the process without another answer: what is in memory can't be trusted any more."""
    if isinstance(error, OSError):
        _logger.critical("cannot write to the data directory: %s; exiting", error)
    else:
        _logger.critical("internal error: %r; exiting", error, exc_info=error)
    with contextlib.suppress(Exception):
        logging.shutdown()
    os._exit(1)
