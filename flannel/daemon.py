"""The daemon's life, in order.

    interface -> config -> backend prepared -> lease -> backend started -> rules -> subnet.env
    -> READY=1 -> news of leases, renewal, rules and packets, until a signal or the lease is lost

Laws: until READY a failure or a signal leaves links and routes as they were found (but for a vxlan
device that did not fit, or had the port, once there is a lease), and no set of rules of which none
was there before; after it nothing is taken down, so packets flow while the daemon is away. What may
come right by itself (a store that is away, a config that is wrong) is waited for, for ever; what
will not is a `Failure`, exit code 1.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface, IPv4Network

from flannel import config, env_file, healthz, interfaces, iptables, notify, subnet_file
from flannel.backends import leftovers, table
from flannel.backends.backend import Backend, BackendError
from flannel.backoff import Backoff
from flannel.config import ConfigError, NetworkConfig
from flannel.endpoints import EndpointError, Endpoints
from flannel.env_file import NotAFile
from flannel.flags import Options
from flannel.following import SetBack, follow
from flannel.holding import Holding
from flannel.interfaces import External, InterfaceError
from flannel.kernel import Kernel, KernelError
from flannel.lease import Attributes
from flannel.leasing import AcquireError, Keeper, acquire_lease
from flannel.peers import Peers
from flannel.registry import Registry
from flannel.resettling import Lost
from pyetcdctl import TLS, AsyncClient, ClientError

MINUTE_S = 60
ENDPOINT_S = 15.0
"""How long one member of the store may take to answer: twice as long as a member without a quorum
waits for one. The data path does not wait for it, and leases are renewed an hour ahead."""
ANSWER_BYTES_MAX = 16 << 20
"""More than 50,000 leases. As objects they take many times that."""

_log = logging.getLogger(__name__)


class Failure(Exception):
    """The daemon cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a started daemon has."""

    kernel: Kernel
    network: NetworkConfig
    external: External
    endpoints: Endpoints
    registry: Registry
    backend: Backend
    keeper: Keeper


async def serve(options: Options, environ: Mapping[str, str]) -> None:
    """Run until the lease is lost; raises Failure."""
    try:
        env_file.check(options.subnet_path, "-subnet-file", or_device=True)
        async with contextlib.AsyncExitStack() as stack:
            kernel = await stack.enter_async_context(Kernel())
            external = await _interface(kernel, options)
            endpoints = _endpoints(options)
            client = await stack.enter_async_context(_client(options))
            await _healthz(stack, options)
            registry = Registry(client, options.etcd_prefix)
            network = await _network_config(registry, kernel, endpoints)
            previous = subnet_file.previous_subnet(options.subnet_path)
            territory = leftovers.Territory(network, previous)
            backend = _backend(network, table.Place(kernel, external, territory))
            guard = iptables.Guard()
            try:
                avoided = await _avoided(kernel, external, endpoints)
                holding = await _start(network, external, registry, backend, previous, avoided)
                remember = partial(
                    _write_subnet_file, options, network, holding.lease.subnet, backend.mtu
                )
                margin_s = options.subnet_lease_renew_margin * MINUTE_S
                keeper = Keeper(registry, holding, margin_s, remember=remember)
                await guard.begin(_rules(options, network, keeper.subnet))
                remember(is_ours=True)
            except BaseException:
                await guard.undo()
                await backend.undo()
                raise
            notify.ready(environ)
            work = Work(kernel, network, external, endpoints, registry, backend, keeper)
            await _until_lost(options, work, guard)
    except (BackendError, KernelError, NotAFile) as error:
        raise Failure(str(error)) from None


async def _interface(kernel: Kernel, options: Options) -> External:
    try:
        host = await interfaces.look(kernel)
        external = interfaces.choose(host, options.iface, options.iface_regex, options.public_ip)
    except InterfaceError as error:
        raise Failure(str(error)) from None
    _log.info("Using interface with name %s and address %s", external.link.name, external.address)
    _log.info("Using %s as external endpoint", external.public_ip)
    return external


def _endpoints(options: Options) -> Endpoints:
    try:
        return Endpoints(options.endpoints)
    except EndpointError as error:
        raise Failure(f"Failed to create SubnetManager: {error}") from None


def _client(options: Options) -> AsyncClient:
    credentials = None
    if options.etcd_username:
        credentials = (options.etcd_username, options.etcd_password)
    tls = TLS(options.etcd_cafile, options.etcd_certfile, options.etcd_keyfile)
    # Members that hang must not keep us from the last one, which may be well.
    total_s = ENDPOINT_S * (len(options.endpoints) + 1)
    try:
        return AsyncClient(
            options.endpoints,
            credentials=credentials,
            tls=tls,
            timeout_s=ENDPOINT_S,
            total_timeout_s=total_s,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
    except ClientError as error:
        raise Failure(f"Failed to create SubnetManager: {error}") from None


async def _healthz(stack: contextlib.AsyncExitStack, options: Options) -> None:
    if not options.healthz_port:
        return
    where = f"{options.healthz_ip}:{options.healthz_port}"
    try:
        server = await healthz.serve(options.healthz_ip, options.healthz_port)
    except (OSError, UnicodeError) as error:
        raise Failure(f"Start healthz server error: cannot listen on {where}: {error}") from None
    _log.info("Start healthz server on %s", where)
    stack.callback(server.close)


async def _network_config(
    registry: Registry, kernel: Kernel, endpoints: Endpoints
) -> NetworkConfig:
    """Wait for a config that can be used."""
    backoff = Backoff()
    said = ""
    while True:
        try:
            return config.parse(await registry.config())
        except (ClientError, ConfigError) as error:
            if str(error) != said:
                _log.error("Couldn't fetch network config: %s", error)
                said = str(error)
                if hint := await leftovers.in_the_way(kernel, await endpoints.addresses()):
                    _log.error("%s", hint)
        await asyncio.sleep(backoff.wait_s())


def _backend(network: NetworkConfig, place: table.Place) -> Backend:
    try:
        return table.settings_for(network)(place)
    except table.UnknownBackend as error:
        raise Failure(f"Error fetching backend: {error}") from None
    except (ConfigError, BackendError) as error:
        raise Failure(f"Error registering network: {error}") from None


async def _avoided(kernel: Kernel, external: External, endpoints: Endpoints) -> list[IPv4Interface]:
    """What a new lease must not cover: our containers' bridge would take its packets."""
    alone = {external.public_ip, *await endpoints.addresses()}
    own = await interfaces.own_addresses(kernel, external)
    known = {one.ip for one in own}
    return [*own, *(IPv4Interface(one) for one in sorted(alone - known))]


async def _start(
    network: NetworkConfig,
    external: External,
    registry: Registry,
    backend: Backend,
    previous: IPv4Network | None,
    avoided: Collection[IPv4Interface],
) -> Holding:
    """Everything up to a data path with our own subnet."""
    try:
        data = await backend.prepare()
        attributes = Attributes(external.public_ip, backend.kind, data)
        holding = await acquire_lease(
            registry, network, attributes, previous, secrets.choice, avoided=avoided
        )
        _log.info("Lease acquired: %s", holding.lease.subnet)
        await backend.start(holding.lease.subnet)
    except (AcquireError, ClientError) as error:
        raise Failure(f"Error registering network: failed to acquire lease: {error}") from None
    except BackendError as error:
        raise Failure(f"Error registering network: {error}") from None
    return holding


def _rules(options: Options, network: NetworkConfig, subnet: IPv4Network) -> list[iptables.RuleSet]:
    """Those to keep."""
    sets = []
    if options.ip_masq:
        sets.append(iptables.masquerade(network.network, subnet))
    if options.iptables_forward_rules:
        sets.append(iptables.forward(network.network))
    return sets


def _write_subnet_file(
    options: Options, network: NetworkConfig, subnet: IPv4Network, mtu: int, is_ours: bool
) -> None:
    """Write down what is ours; a subnet that is not any more is left out, or the next start would
    take it from whoever has it."""
    own = subnet if is_ours else None
    text = subnet_file.text(network.network, own, mtu, options.ip_masq)
    try:
        env_file.write(options.subnet_path, text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        _log.warning("Failed to write subnet file %s: %s", options.subnet_file, reason)
        return
    _log.info(
        "Wrote subnet file to %s%s",
        options.subnet_file,
        "" if own else f", without {subnet}: this host gets another subnet at its next start",
    )


async def _until_lost(options: Options, work: Work, guard: iptables.Guard) -> None:
    """Everything that goes on side by side; the first that ends, ends all."""
    _log.info("Running backend.")
    await _first_to_end(
        _hear(work),
        work.keeper.renew_for_ever(),
        _keep_rules(options, work.network, guard),
        work.backend.run(),
    )


async def _keep_rules(options: Options, network: NetworkConfig, guard: iptables.Guard) -> None:
    """Keep our rules, and none of an earlier run with -ip-masq where subnet.env, by which Docker
    goes, says that there are none: so not before it does."""
    if not options.ip_masq:
        await iptables.clear(iptables.no_masquerade(network.network))
    await guard.keep(options.iptables_resync)


async def _hear(work: Work) -> None:
    """Take news of leases until ours is lost."""
    network = work.network.network
    look = partial(interfaces.all_addresses, work.kernel)
    peers = Peers(
        work.backend, network, work.keeper.subnet, work.external, look, work.endpoints.addresses
    )
    _log.info("Watching for new subnet leases")
    async for news in follow(work.registry, work.keeper.holding.lease.index):
        if isinstance(news, SetBack):
            try:
                await work.keeper.resettle(news.listing)
            except Lost as error:
                raise Failure(str(error)) from None
            await peers.settle(news.listing)
        elif await work.keeper.hear(news):
            await peers.hear(news)
        else:
            return


async def _first_to_end(*jobs: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
