"""A group's members person by person, from the node's views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lutra.node.person_views import PersonView
from lutra.node.views import GroupView, MemberView


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a group.

    Attributes:
        person: the person's id; the device's key in groups of an earlier Lutra.
        name: what it is called; empty while unknown.
        role: ``keeper``, ``reader``, ``writer`` or ``admin``.
        me: it is this device's person.
        devices: its devices that are in the group.
        trust: ``unverified``, ``verified`` or ``changed``.
        unseen: a change of verified keys has not been acknowledged.
    """

    person: bytes
    name: str
    role: str
    me: bool
    devices: tuple[MemberView, ...]
    trust: str = "unverified"
    unseen: bool = False

    @property
    def online(self) -> bool:
        """Whether one of its devices is connected or is this one."""
        return any(device.online or device.me for device in self.devices)


def roster(group: GroupView, people: Mapping[bytes, PersonView]) -> tuple[Member, ...]:
    """Return who is in a group now: this person first, then who is connected, then by name."""
    by_person: dict[bytes, list[MemberView]] = {}
    for device in group.members:
        if device.present:
            by_person.setdefault(device.person or device.device, []).append(device)
    members = [_member(person, devices, people) for person, devices in by_person.items()]
    return tuple(
        sorted(members, key=lambda one: (not one.me, not one.online, one.name.lower(), one.person))
    )


def _member(person: bytes, devices: list[MemberView], people: Mapping[bytes, PersonView]) -> Member:
    known = people.get(person)
    names = [device.name for device in devices if device.name]
    return Member(
        person=person,
        name=(known.name if known is not None and known.name else "") or next(iter(names), ""),
        role=devices[0].role,
        me=any(device.me for device in devices) or (known is not None and known.me),
        devices=tuple(
            sorted(devices, key=lambda one: (not one.me, not one.online, one.device_name))
        ),
        trust=known.trust if known is not None else "unverified",
        unseen=known.unseen if known is not None else False,
    )
