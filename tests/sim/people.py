"""What persons do in a simulated life: write, invite, remove, leave, change their devices."""

from __future__ import annotations

from lutra.groups.contents import Role
from lutra.groups.group import Group
from lutra.identity.errors import DeviceNotInPersonError
from lutra.operation import Operation
from sim.device import Device
from sim.world import World


class People(World):
    """A world whose persons act."""

    def _write(self) -> None:
        device = self.random.choice(self.inside)
        role = device.group.control.auth().role_of(device.id)
        if role is None or role < Role.WRITER:
            return
        if device.group.current_epoch() is None:
            self._tell(device, device.do(lambda group: group.reconcile(device)))
        honest = device.person_name not in self.malicious
        if honest:
            self.judge.not_blocked(device)
        self._texts += 1
        text = device.write(f"text {self._texts}".encode())
        if text is None:
            return
        if honest:
            self.sends.append(self.judge.send(device, text))
        self._say(f"{device} writes {text.id.hex()[:6]} under {_short(text)}")

    def _change(self) -> None:
        device = self.random.choice(self.inside)
        if not device.group.is_member(device.id):
            return
        choices = (
            self._invite_somebody,
            self._invite_somebody,
            self._remove,
            self._remove,
            self._set_role,
            self._leave,
            self._change_devices,
            self._change_devices,
            self._restore,
            self._name_things,
        )
        self.random.choice(choices)(device)

    def _invite_somebody(self, host: Device) -> None:
        if self._is_admin(host):
            roles = host.group.roles()
            outside = {item.person_name for item in self.devices if item.person not in roles}
            if outside:
                self._take_office(host)
                self._invite(host, self.random.choice(sorted(outside)))

    def _remove(self, device: Device) -> None:
        others = self._others(device)
        if not self._is_admin(device) or not others:
            return
        target = self.random.choice(others)
        self._remove_person(device, target)
        unaware = [item for item in self.inside if item.person == target and self._is_admin(item)]
        if unaware and self.random.random() < 0.5:
            # Somebody who does not know of its removal yet goes on, or does the same.
            other = self.random.choice(unaware)
            if self.random.random() < 0.5:
                self._invite_somebody(other)
            elif device.person in other.group.roles():
                self._remove_person(other, device.person)

    def _remove_person(self, device: Device, target: bytes) -> None:
        self._say(f"{device} removes {self._name(target)}")
        cuts = device.cuts(target)
        self._tell(
            device, self._do(device, lambda group: group.remove_person(device, target, cuts))
        )

    def _set_role(self, device: Device) -> None:
        others = self._others(device)
        if not self._is_admin(device) or not others:
            return
        target = self.random.choice(others)
        role = self.random.choice((Role.READER, Role.WRITER, Role.ADMIN, Role.ADMIN, Role.KEEPER))
        if device.group.roles()[target] is not role:
            self._take_office(device)
            self._say(f"{device} makes {self._name(target)} {role.name.lower()}")
            self._tell(device, self._do(device, lambda group: group.set_role(device, target, role)))

    def _take_office(self, device: Device) -> None:
        """Do what a node does before its admin lets somebody in or gives a role."""
        if device.group.control.auth().successor == device.person:
            self._say(f"{device} takes over as admin")
            self._tell(device, self._do(device, lambda group: group.take_office(device)))

    def _leave(self, device: Device) -> None:
        roles = list(device.group.roles().values())
        is_last = self._is_admin(device) and roles.count(Role.ADMIN) == 1
        if not is_last and len(roles) > 2 and self.random.random() < 0.5:
            self._say(f"{device} leaves with all devices")
            self._tell(device, self._do(device, lambda group: group.leave(device)))

    def _name_things(self, device: Device) -> None:
        if self._is_admin(device):
            self._say(f"{device} names the group")
            self._do(device, lambda group: group.rename(device, f"Group {self.clock.now}"))
        if device.chain.state.may_act(device.id):
            device.chain.rename(device.key, device.id, b"renamed", device.clock())
            self._do(device, lambda group: group.introduce(device, device.untold()))

    def _change_devices(self, device: Device) -> None:
        """Add a device of one's own, or revoke one; sometimes two revoke each other."""
        if not device.chain.state.may_act(device.id):
            return
        siblings = [item for item in self._devices_of(device.person_name) if item is not device]
        active = [item for item in siblings if device.chain.state.may_act(item.id)]
        # Attackers bring whatever they have.
        wanted = 4 if device.person_name in self.malicious else self._size.devices
        if len(active) < wanted - 1:
            if len(siblings) <= wanted:
                self._add_device(device)
        elif active and self.random.random() < 0.6:
            sibling = self.random.choice(active)
            self._revoke(device, sibling)
            if self.random.random() < 0.4 and sibling.is_open:
                # It did not hear of it yet and does the same.
                self._revoke(sibling, device)

    def _add_device(self, device: Device) -> None:
        name = f"{device.person_name}/{1 + len(self._devices_of(device.person_name))}"
        added = type(device)(
            name, device.person_name, self.clock, str(self.seed).encode(), sibling=device
        )
        self.devices.append(added)
        added.open(device.group.id)
        self._say(f"{device} adds {added}")
        self._bring_in(device, [added])

    def _revoke(self, device: Device, sibling: Device) -> None:
        try:
            device.chain.remove(device.key, sibling.id, device.clock())
        except DeviceNotInPersonError:
            return
        self._say(f"{device} revokes {sibling}")
        if device.group.is_member(device.id):
            news = device.untold()
            self._tell(device, self._do(device, lambda group: group.introduce(device, news)))

    def _restore(self, witness: Device) -> None:
        """Somebody who lost all devices comes back by a recovery kit."""
        names = [
            name
            for name in sorted(self._kits)
            if name not in self.malicious
            and name != witness.person_name
            and self._devices_of(name)[0].person in witness.group.roles()
            and len(self._devices_of(name)) <= self._size.devices
        ]
        if not names:
            return
        name, kit = names[0], self._kits[names[0]]
        devices = self._devices_of(name)
        lost = devices[0]
        fresh_name = f"{name}/{1 + len(devices)}"
        try:
            device = Device.restored(kit, fresh_name, lost, witness)
        except DeviceNotInPersonError:
            # The witness knows nothing of the kit yet.
            return
        self._say(f"{device} is restored from a kit by {witness}'s help")
        if self.random.random() < 0.7:
            for other in devices:
                if device.chain.state.may_act(other.id):
                    device.chain.remove(kit.key, other.id, device.clock())
        self.devices.append(device)
        device.open(witness.group.id)
        self._bring_in(witness, [device])

    def _renew(self) -> None:
        device = self.random.choice(self.inside)
        if device.group.is_member(device.id):
            self._tell(device, self._do(device, lambda group: group.renew(device)))

    def _invite(self, host: Device, person: str) -> None:
        guests = self._devices_of(person)
        for guest in guests:
            guest.open(host.group.id)
        self._say(f"{host} invites {person} with {len(guests)} devices")
        role = self.random.choice((Role.ADMIN, Role.ADMIN, Role.ADMIN, Role.WRITER, Role.READER))
        evidence = sorted({item for guest in guests for item in guest.evidence})
        offers = [guest.offer() for guest in guests]
        target = guests[0].person

        def change(group: Group) -> list[Operation]:
            if target in group.roles():
                made = group.introduce(host, evidence, offers)
                return [*made, *group.reconcile(host)]
            return group.add_person(host, target, role, evidence=evidence, offers=offers)

        self._tell(host, self._do(host, change))

    def _bring_in(self, host: Device, added: list[Device]) -> None:
        """Carry devices of a member into the group."""
        evidence = sorted({item for device in added for item in device.evidence})
        offers = [device.offer() for device in added]

        def change(group: Group) -> list[Operation]:
            return [*group.introduce(host, evidence, offers), *group.reconcile(host)]

        self._tell(host, self._do(host, change))

    def _bring_own_devices(self, founder: Device) -> None:
        own = [item for item in self._devices_of(founder.person_name) if item is not founder]
        for device in own:
            device.open(founder.group.id)
        if own:
            self._bring_in(founder, own)


def _short(text: Operation) -> str:
    return (text.header.extensions.epoch or b"").hex()[:6]
