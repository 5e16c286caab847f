"""What a node is put together from, each part made from its configuration."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from meshsim.agent import MeshAgent
from meshsim.control.client import RegistryClient
from meshsim.identity import NodeRecord, sign_record
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.node.alone import NoRegistry
from meshsim.node.attack import misbehaviour
from meshsim.node.config import NO_REGISTRY
from meshsim.node.emulation import EmulatorClient
from meshsim.routing import RoutingEngine
from meshsim.routing.policies import Learned, load_model
from meshsim.routing.policies.learned import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from meshsim.identity import Ed25519Signer, Ed25519Verifier
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import Stream
    from meshsim.node.alone import Registry
    from meshsim.node.config import NodeConfig

JOIN_PATIENCE = 5.0
"""Seconds that a registry has to answer."""
EPOCH_STEP = 1_000_000
"""Nanoseconds: lives of a node that begin further apart are told apart, and so are their calls."""
RECORD_LIFETIME = 3600.0
"""Seconds; a record is signed anew at half of it."""


def make_record(config: NodeConfig, signer: Ed25519Signer, now: float) -> NodeRecord:
    """What the node says of itself, signed at the Unix second `now`."""
    record = NodeRecord(
        node=signer.node_id,
        aura=config.aura,
        role=config.role,
        nat=config.nat,
        latitude=config.latitude,
        longitude=config.longitude,
        aic=config.aic,
        capacity_bps=config.capacity_bps,
        max_calls=config.room,
        expires_unix=now + RECORD_LIFETIME,
    )
    return sign_record(record, signer)


def make_agent(config: NodeConfig, record: NodeRecord, signer: Ed25519Signer, verifier: Ed25519Verifier) -> MeshAgent:
    """The node's brain, with its scorer loaded.

    Raises:
        ConfigError: If the scorer is not there, or not signed by whom it should be.
    """
    seeds, entity = SeedTree(config.seed), _entity(signer)
    learned = config.policy == Learned.name
    policy = load_model(config.model or DEFAULT_MODEL, signer=config.signer_id) if learned else config.policy
    start = time.monotonic()
    return MeshAgent(
        replace(config.behaviour, epoch=config.agent.epoch or time.time_ns() // EPOCH_STEP),
        record,
        signer,
        verifier,
        RoutingEngine(policy, candidates=config.candidates, trust_floor=config.trust_floor, fallbacks=config.fallbacks),
        config.make_model(),
        config.neighbour_ids,
        seeds.stream("node/agent", entity),
        interceptors=misbehaviour(config.misbehaviour, config.strength, config.attack, signer, seeds, start),
        anchors=config.anchor_ids,
    )


def drop_stream(config: NodeConfig, signer: Ed25519Signer) -> Stream:
    """Draws for packets dropped on purpose."""
    return SeedTree(config.seed).stream("node/drop", _entity(signer))


async def find_registry(
    config: NodeConfig,
    signer: Ed25519Signer,
    stack: AsyncExitStack,
    *,
    on_undelivered: Callable[[NodeId], None],
    on_connected: Callable[[], None],
    clock: Callable[[], float],
) -> Registry:
    """The registry that the node meets others at, if there is one; its connection is closed with `stack`.

    Raises:
        ConfigError: If it is not where the configuration says.
    """
    if config.registry == NO_REGISTRY:
        return NoRegistry()
    client = RegistryClient(
        config.registry, signer, on_undelivered=on_undelivered, on_connected=on_connected, clock=clock
    )
    await stack.enter_async_context(client)
    try:
        await client.wait_online(JOIN_PATIENCE)
    except ConnectionError as gone:
        raise ConfigError(f"no registry at {config.registry}: {gone}", key="registry") from gone
    return client


async def find_emulator(config: NodeConfig, stack: AsyncExitStack) -> EmulatorClient | None:
    """The emulator that stands between all nodes, if there is one; closed with `stack`.

    Raises:
        ConfigError: If it is not where the configuration says.
    """
    if config.emulator is None:
        return None
    host, _, port = config.emulator.rpartition(":")
    try:
        client = await EmulatorClient.connect(host, int(port))
    except OSError as gone:
        raise ConfigError(f"no emulator at {config.emulator}: {gone}", key="emulator") from gone
    stack.push_async_callback(client.close)
    return client


def _entity(signer: Ed25519Signer) -> int:
    return int.from_bytes(signer.node_id[:6], "big")
