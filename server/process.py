"""One running member, from recovered data to the last answer.

Laws:

* A new member serves clients once its own attributes are committed; one with data when it has
  caught up with a leader or, since local reads need nobody, when no leader comes.
* READY=1 is said when the attributes are committed, and not before.
* A failure of the log ends the process at once, with one line and without another answer.
* A signal drains: polls get their empty answer, answers under way go out, a leader hands over, and
  what was acknowledged is on disk already. So does the removal of this member from the cluster.
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from api import App, Backend, Versions, client_app, metrics_app, peer_app
from kvstore import Machine, Reply, birth_of, is_removed
from kvstore.commands import RemoveMember, encode
from raft import Contradicted, DataLost, Node, NodeConfig, Peer, Timing, in_words
from server import hosts, log, systemd
from server.announcing import agree_on_version, announce, catch_up
from server.beginning import Beginning, begin
from server.datadir import DataDir, DataDirError
from server.identity import member_id
from server.listeners import bind_all, close_all
from server.options.config import Config
from server.options.urls import parse_urls
from server.peers import Peers
from server.version import CLUSTER_VERSION, ETCD_VERSION, __version__

_DRAIN_S = 2.0

# For so many election time-outs a restarted member waits for a leader before it serves clients.
_PATIENCE = 3

# How long a removed member stays, as in etcd: the others may have yet to hear of it from us.
_REMOVED_STAY_S = 1.0

# etcd keeps as many descriptors for itself.
FILES_RESERVED = 150

_logger = logging.getLogger("etcdserver")
_main_logger = logging.getLogger("etcdmain")


class Process:
    """A member of the cluster with its listeners."""

    def __init__(self, config: Config, data_dir: DataDir) -> None:
        self._config = config
        self._data_dir = data_dir
        self._started_ns = time.time_ns()
        self._machine = Machine()
        self._timing = Timing(config.heartbeat_interval_ms, config.election_timeout_ms)
        self._peers = Peers(
            self._timing,
            is_removed=self._is_removed,
            birth_of=self._birth_of,
            fallback=self._peer_http,
            version=ETCD_VERSION,
        )
        self._peer_app: App | None = None
        self._backend: Backend | None = None
        self._servers: list[asyncio.Server] = []
        self._apps: list[App] = []

    async def run(self) -> signal.Signals | None:
        """Serve until a signal comes, and return it; None if this member was removed for good."""
        config = self._config
        loop = asyncio.get_running_loop()
        signalled: asyncio.Future[signal.Signals] = loop.create_future()
        removed: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _on_signal, number, signalled)
        peers, clients, metrics = [], [], []
        try:
            peers = bind_all(config.listen_peer_urls)
            clients = bind_all(config.listen_client_urls)
            metrics = bind_all(config.listen_metrics_urls)
            await self._listen(self._peers.protocol, peers)
            starting = asyncio.create_task(self._start(clients, metrics, removed))
            await _first_of(starting, signalled, removed)
            if starting.done():
                starting.result()
            await _first_of(signalled, removed)
            starting.cancel()
            if not signalled.done():
                await self._leave_for_good(signalled)
            await self._drain()
            return signalled.result() if signalled.done() else None
        finally:
            close_all((*peers, *clients, *metrics))

    # -- start ------------------------------------------------------------------------------

    async def _start(
        self,
        clients: list[socket.socket],
        metrics: list[socket.socket],
        removed: asyncio.Future[None],
    ) -> None:
        node = await self._open_node(removed)
        node.start()
        if self._is_forced:
            me, commit = node.identity, node.status.commit_index
            words = "forcing restart of member %x in cluster %x at commit index %d"
            _logger.warning(words, me.member_id, me.cluster_id, commit)
            words = "take --force-new-cluster out again: it removes all other members at each start"
            _logger.warning(words)
        backend = self._backend = self._make_backend(node)
        self._peer_app = self._begin_app(peer_app(backend))
        knows_something = self._data_dir.has_data and self._machine.store.index > 0
        if knows_something:
            await catch_up(node, _PATIENCE * self._timing.election_ms / 1000)
            await self._serve_clients(backend, clients, metrics)
        await announce(node, self._machine, self._config)
        await agree_on_version(node, self._machine)
        if not knows_something:
            await self._serve_clients(backend, clients, metrics)
        _main_logger.info("ready to serve client requests")
        systemd.notify("READY=1", os.environ)

    async def _open_node(self, removed: asyncio.Future[None]) -> Node[Reply]:
        config, data_dir = self._config, self._data_dir
        beginning: Beginning | None = None
        if data_dir.has_data:
            _main_logger.info(
                "the server is already initialized as member before, starting as etcd member..."
            )
        else:
            beginning = await begin(config, hosts.resolve)
        node_config = NodeConfig(
            journal_directory=str(data_dir.wal),
            snapshot_directory=str(data_dir.snap),
            snapshot_count=config.snapshot_count,
            snapshots_max=config.max_snapshots,
            timing=self._timing,
            fsync=not config.unsafe_no_fsync,
        )
        if config.unsafe_no_fsync:
            _logger.warning("not waiting for the disk: a power loss undoes acknowledged writes")
        try:
            node = Node(
                self._machine,
                node_config,
                identity=beginning.identity if beginning else None,
                bootstrap=beginning.first if beginning else None,
                on_fatal=_die,
                transport=self._peers,
                is_removed=self._is_removed,
                birth_of=self._birth_of,
                on_removed=lambda: _settle(removed),
                force_new=_removals if self._is_forced else None,
            )
        except OSError as error:
            place = error.filename or data_dir.root
            raise DataDirError(f"cannot open data directory: {place}: {in_words(error)}") from error
        self._peers.become(node.identity)
        _logger.info(
            "starting member %x in cluster %x", node.identity.member_id, node.identity.cluster_id
        )
        return node

    @property
    def _is_forced(self) -> bool:
        """Whether to be the only member from now on; without data the option says nothing."""
        return self._config.force_new_cluster and self._data_dir.has_data

    def _is_removed(self, number: int) -> bool:
        return is_removed(self._machine.store.tree, number)

    def _birth_of(self, number: int) -> int:
        return birth_of(self._machine.store.tree, number)

    def _peer_http(self) -> asyncio.Protocol:
        assert self._peer_app is not None
        return self._peer_app.protocol()

    def _make_backend(self, node: Node[Reply]) -> Backend:
        backend = Backend(
            node=node,
            machine=self._machine,
            name=self._config.name,
            versions=Versions(ETCD_VERSION, CLUSTER_VERSION, __version__),
            cors=self._config.cors,
            host_whitelist=self._config.host_whitelist,
            check_urls=_check_urls,
            mint_id=_mint_id,
            strict_reconfig_check=self._config.strict_reconfig_check,
            set_log_level=log.set_level,
            started_ns=self._started_ns,
            peer_counters=lambda: self._peers.counters,
        )
        node.driver.writing.on_sync = lambda took_ns: backend.meter.syncs.observe(took_ns / 1e9)
        node.compactor.on_saved = backend.meter.snapshots.observe
        return backend

    async def _serve_clients(
        self, backend: Backend, clients: list[socket.socket], metrics: list[socket.socket]
    ) -> None:
        app = client_app(
            backend, express=self._config.express_lane, connections_max=connections_max()
        )
        await self._listen(self._begin_app(app).protocol, clients)
        if metrics:
            await self._listen(self._begin_app(metrics_app(backend)).protocol, metrics)
        for url in self._config.listen_client_urls:
            _main_logger.info("serving client requests on %s", url.authority)

    def _begin_app(self, app: App) -> App:
        self._apps.append(app)
        return app

    async def _listen(
        self, protocol: Callable[[], asyncio.Protocol], sockets: list[socket.socket]
    ) -> None:
        loop = asyncio.get_running_loop()
        for listener in sockets:
            if listener.family == socket.AF_UNIX:
                server = await loop.create_unix_server(protocol, sock=listener)
            else:
                server = await loop.create_server(protocol, sock=listener)
            self._servers.append(server)

    # -- end --------------------------------------------------------------------------------

    async def _leave_for_good(self, signalled: asyncio.Future[signal.Signals]) -> None:
        """Say what has happened and what to do about it, and stay for a moment."""
        _logger.error("the member has been permanently removed from the cluster")
        _logger.info("the data-dir used by this member must be removed.")
        await asyncio.wait((signalled,), timeout=_REMOVED_STAY_S)

    async def _drain(self) -> None:
        for server in self._servers:
            server.close()
        if self._backend is not None:
            self._backend.feeds.drain()
            await self._backend.node.driver.settle(_DRAIN_S)
            await self._backend.node.stop()
        await asyncio.gather(*(app.stop(_DRAIN_S) for app in self._apps))
        self._data_dir.close()


def connections_max() -> int:
    """How many clients may connect: the file limit, less what the server itself needs."""
    return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_RESERVED)


def _on_signal(number: signal.Signals, signalled: asyncio.Future[signal.Signals]) -> None:
    if not signalled.done():
        words = "interrupt" if number == signal.SIGINT else "terminated"
        _main_logger.info("received %s signal, shutting down...", words)
        signalled.set_result(number)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _first_of(*waiting: asyncio.Future[Any]) -> None:
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


def _check_urls(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(url.text for url in parse_urls(texts))


def _mint_id(urls: Sequence[str]) -> int:
    return member_id(urls, "", now_s=int(time.time()))


def _removals(others: tuple[Peer, ...]) -> list[bytes]:
    """What --force-new-cluster records of everyone else."""
    return [encode(RemoveMember(peer.id)) for peer in others]


def _die(error: BaseException) -> NoReturn:
    """End the process without another answer: what is in memory can't be trusted any more."""
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        words = "cannot write to the data directory: %s%s; exiting"
        _logger.critical(words, in_words(error), place)
    elif isinstance(error, DataLost | Contradicted):
        _logger.critical("%s; exiting", error)
    else:
        _logger.critical("internal error: %r; exiting", error, exc_info=error)
    with contextlib.suppress(Exception):
        logging.shutdown()
    os._exit(1)
