"""Discovery by real multicast DNS on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from core.net.waiting import until
from lutra.net.connection import Address
from lutra.net.diagnosis import MDNS_GROUP, MDNS_PORT
from lutra.net.discovery import Discovery, DiscoveryEvent, Found, Gone, NetworkChanged
from lutra.net.interfaces import Interface, interfaces
from lutra.net.mdns import ServiceKind

pytestmark = pytest.mark.usefixtures("loopback_multicast")

LOOPBACK = "127.0.0.1"
GROUP, SECRET = b"g" * 32, b"s" * 32
OTHER_GROUP, OTHER_SECRET = b"G" * 32, b"S" * 32
HOUR = 3600.0


@contextlib.asynccontextmanager
async def discovering(
    port: int,
    groups: dict[bytes, bytes] | None = None,
    *,
    clock: Callable[[], float] = lambda: 100 * HOUR,
    announce: bool = True,
    interface: str | None = LOOPBACK,
    list_interfaces: Callable[[], Sequence[Interface]] = interfaces,
) -> AsyncIterator[tuple[Discovery, list[DiscoveryEvent]]]:
    events: list[DiscoveryEvent] = []
    discovery = Discovery(
        port,
        events.append,
        interface=interface,
        announce=announce,
        clock=clock,
        list_interfaces=list_interfaces,
        poll=0.1,
    )
    discovery.set_groups(groups or {})
    await discovery.start()
    try:
        yield discovery, events
    finally:
        await discovery.close()


def found(events: Sequence[DiscoveryEvent]) -> list[Found]:
    return [event for event in events if isinstance(event, Found)]


async def test_members_find_each_other_and_only_them() -> None:
    async with (
        discovering(4001, {GROUP: SECRET}) as (_, one),
        discovering(4002, {GROUP: SECRET, OTHER_GROUP: OTHER_SECRET}) as (_, other),
        discovering(4003, {OTHER_GROUP: b"another secret".ljust(32)}) as (stranger, third),
    ):
        await until(lambda: found(one) and found(other))
        (event,) = found(one)
        assert event.addresses == (Address(LOOPBACK, 4002),)
        assert event.matched == {GROUP}
        assert event.kind is ServiceKind.GROUPS
        await until(lambda: stranger.facts().strangers == 2)
        assert not found(third)
        assert stranger.facts().acquaintances == 0


async def test_a_group_joined_or_left_later_counts_at_once() -> None:
    async with (
        discovering(4011, {GROUP: SECRET}) as (one, seen),
        discovering(4012) as (other, seen_by_other),
    ):
        other.set_groups({GROUP: SECRET})
        await until(lambda: found(seen) and found(seen_by_other))
        one.set_groups({})
        assert any(isinstance(event, Gone) for event in seen)
        await until(lambda: any(isinstance(event, Gone) for event in seen_by_other))


async def test_setting_the_same_again_announces_nothing_anew() -> None:
    async with discovering(4091, {GROUP: SECRET}) as (one, _):
        one.set_rendezvous(offered=[b"invite"])
        before = {kind: list(own) for kind, own in one._own.items()}
        assert all(before.values())
        one.set_groups({GROUP: SECRET})
        one.set_rendezvous(offered=[b"invite"])
        assert one._own == before
        one.set_rendezvous()
        assert one._own == {**before, ServiceKind.RENDEZVOUS: []}


async def test_hostile_announcements_are_survived() -> None:
    """Datagrams that are no DNS, and services with absurd records, come in between."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as enemy:
        enemy.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
        async with discovering(4101, {GROUP: SECRET}) as (one, seen):
            await until(lambda: one.facts().active)
            for garbage in hostile_datagrams():
                enemy.sendto(garbage, (MDNS_GROUP, MDNS_PORT))
            await until(lambda: one.facts().strangers >= 1)
            async with discovering(4102, {GROUP: SECRET}):
                await until(lambda: found(seen))
            assert [event.addresses for event in found(seen)] == [(Address(LOOPBACK, 4102),)]


def hostile_datagrams() -> list[bytes]:
    """A valid foreign service, and everything that may be wrong with one."""

    def name(*labels: bytes) -> bytes:
        return b"".join(bytes((len(one),)) + one for one in labels) + b"\0"

    def record(owner: bytes, kind: int, data: bytes) -> bytes:
        return owner + struct.pack("!HHIH", kind, 0x8001, 120, len(data)) + data

    def answer(*records: bytes) -> bytes:
        return struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)

    def service(label: bytes, text: bytes, port: int) -> bytes:
        kind, host = (b"_lutra", b"_tcp", b"local"), name(label, b"local")
        return answer(
            name(*kind) + struct.pack("!HHIH", 12, 1, 120, len(name(label, *kind)))
            + name(label, *kind),
            record(name(label, *kind), 33, struct.pack("!HHH", 0, 0, port) + host),
            record(name(label, *kind), 16, text),
            record(host, 1, socket.inet_aton("192.0.2.9")),
        )  # fmt: skip

    honest = service(b"foreign", b"\x0bt0=12345678", 4242)
    return [
        b"",
        b"\xff" * 200,
        bytes(12),
        *(honest[:length] for length in range(0, len(honest), 7)),
        service(b"cut", b"\xfft0=1", 1),
        service(b"odd", b"\x06t0=123\x03v=9", 2),
        service(b"bare", b"\x02t0\x00\x01=", 3),
        service(b"zero", b"", 0),
        service(b"\xff\xfe", b"\x02\xff\xff", 4),
        honest,
    ]


async def test_labels_and_tags_change_with_the_hour() -> None:
    now = [100 * HOUR + 10]
    async with (
        discovering(4021, {GROUP: SECRET}, clock=lambda: now[0]) as (one, _),
        discovering(4022, {GROUP: SECRET}, clock=lambda: now[0]) as (_, seen),
    ):
        await until(lambda: found(seen))
        (before,) = one._own[ServiceKind.GROUPS]
        now[0] += HOUR
        await until(lambda: len(found(seen)) == 2)
        (after,) = one._own[ServiceKind.GROUPS]
        assert before.label != after.label
        assert not set(before.properties.values()) - {b"1"} & set(after.properties.values())
        assert found(seen)[1].label == after.label
        await until(lambda: Gone(before.label) in seen)


async def test_rendezvous_of_inviter_and_invited() -> None:
    async with discovering(4031) as (inviter, _), discovering(4032) as (invited, seen):
        inviter.set_rendezvous(offered=[b"invite secret 16"])
        invited.set_rendezvous(sought=[b"something else..", b"invite secret 16"])
        await until(lambda: found(seen))
        (event,) = found(seen)
        assert event.kind is ServiceKind.RENDEZVOUS
        assert event.matched == {b"invite secret 16"}
        assert event.addresses == (Address(LOOPBACK, 4031),)


async def test_a_silent_device_finds_without_being_found() -> None:
    async with (
        discovering(4041, {GROUP: SECRET}) as (_, seen_by_loud),
        discovering(4042, {GROUP: SECRET}, announce=False) as (silent, seen),
    ):
        await until(lambda: found(seen))
        assert not any(silent._own.values())
        assert not found(seen_by_loud)


async def test_three_hundred_groups_are_matched() -> None:
    many = {number.to_bytes(32, "big"): number.to_bytes(32, "little") for number in range(300)}
    some = dict(list(many.items())[::3])
    async with discovering(4051, many), discovering(4052, some) as (_, seen):
        matched: set[bytes] = set()

        def all_matched() -> bool:
            matched.update(*(event.matched for event in found(seen)))
            return matched == set(some)

        await until(all_matched)


async def test_without_any_network_nothing_fails_and_it_starts_when_one_comes() -> None:
    present: list[Interface] = []
    async with (
        discovering(4061, {GROUP: SECRET}) as (_, seen_by_other),
        discovering(
            4062, {GROUP: SECRET}, interface=None, list_interfaces=lambda: list(present)
        ) as (absent, seen),
    ):
        await asyncio.sleep(0.3)
        assert absent.facts().active == ()
        assert absent.facts().failed == {}
        assert not found(seen)
        present.append(Interface("lo", LOOPBACK, 1, loopback=True, connected=True))
        await until(lambda: found(seen) and found(seen_by_other))
        assert any(isinstance(event, NetworkChanged) for event in seen)
        present.clear()
        await until(lambda: absent.facts().active == ())
        await until(lambda: any(isinstance(event, Gone) for event in seen_by_other))
        await until(lambda: isinstance(seen[-1], NetworkChanged))


async def test_an_interface_that_refuses_does_not_stop_the_others() -> None:
    present = [
        Interface("gone", "192.0.2.77", 1, loopback=False, connected=True),
        Interface("here", LOOPBACK, 1, loopback=False, connected=True),
    ]
    async with (
        discovering(4071, {GROUP: SECRET}),
        discovering(4072, {GROUP: SECRET}, interface=None, list_interfaces=lambda: present) as (
            _,
            seen,
        ),
    ):
        await until(lambda: found(seen))


async def test_refresh_announces_anew() -> None:
    async with (
        discovering(4081, {GROUP: SECRET}) as (one, _),
        discovering(4082, {GROUP: SECRET}) as (_, seen),
    ):
        await until(lambda: found(seen))
        one.refresh()
        await until(lambda: any(isinstance(event, Gone) for event in seen))
        await until(lambda: len(found(seen)) == 2)


async def test_loopback_is_used_only_when_alone_or_asked_for() -> None:
    lo = Interface("lo", LOOPBACK, 1, loopback=True, connected=True)
    lan = Interface("eth0", "192.0.2.1", 1, loopback=False, connected=True)
    dark = Interface("eth1", "192.0.2.2", 1, loopback=False, connected=False)
    anywhere = Discovery(1, lambda _: None)
    assert anywhere._usable([lo, lan, dark]) == [lan]
    assert anywhere._usable([lo, dark]) == [lo]
    assert Discovery(1, lambda _: None, interface=LOOPBACK)._usable([lo, lan]) == [lo]


def test_this_computer_has_a_loopback_interface() -> None:
    (lo,) = [one for one in interfaces() if one.address == LOOPBACK]
    assert lo.loopback
    assert lo.connected


async def test_announcements_of_two_days_have_nothing_in_common() -> None:
    secrets = [b"invite".ljust(32), b"short code's number".ljust(32), b"nearby".ljust(32)]
    seen: list[set[bytes]] = []
    for day in (0.0, 24 * HOUR):
        async with discovering(4051, {GROUP: SECRET}, clock=lambda day=day: 100 * HOUR + day) as (
            discovery,
            _,
        ):
            discovery.set_rendezvous(offered=secrets)
            announced = [one for kind in ServiceKind for one in discovery._own[kind]]
        flat = b"".join(b"".join(one.properties.values())[1:] for one in announced)
        tags = {flat[at : at + 8] for at in range(0, len(flat), 8)}
        seen.append(tags | {one.label.encode() for one in announced})
        assert len(announced) == 2
        assert not any(secret[:8] in flat for secret in (*secrets, GROUP, SECRET))
    assert not seen[0] & seen[1]
