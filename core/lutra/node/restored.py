"""What a new profile gets when a person comes back on it."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.crypto.random import Random
from lutra.crypto.signing import SigningKey
from lutra.groups.directory import statement
from lutra.identity.person import Person
from lutra.node.new_identity import (
    DEVICE,
    DEVICE_NAME,
    PERSON_ID,
    PERSON_NAME,
    SECRET,
    SECRET_BYTES,
    name_key,
    seal_name,
)
from lutra.node.own_devices import Entry
from lutra.store.groups import GroupRow
from lutra.store.peers import AddressRow
from lutra.store.store import Store


def create_restored(
    store: Store,
    device: SigningKey,
    evidence: Sequence[bytes],
    *,
    person: bytes,
    secret: bytes | None,
    names: tuple[str, str],
    entries: Sequence[Entry],
    addresses: Sequence[AddressRow],
    random: Random,
    time: int,
) -> None:
    """Write a restored person into a new profile, in one transaction.

    Args:
        store: the profile's.
        device: the new device's key; ``evidence`` says that it is the person's.
        evidence: statements about the person.
        person: its id.
        secret: the person's secret; None begins a new one, since the old one is lost.
        names: what the person and the device are called.
        entries: the person's groups.
        addresses: where devices were met.
        random: source of what is new.
        time: milliseconds since 1970.
    """
    secret = random(SECRET_BYTES) if secret is None else secret
    operations = [item for item in map(statement, evidence) if item is not None]
    log = Person(person, operations)
    key = name_key(secret)
    log.rename(device, device.public, seal_name(key, names[1], random), time)
    log.rename(device, None, seal_name(key, names[0], random), time)
    with store.transaction(full_sync=True):
        store.keys.put(DEVICE, device.seed())
        store.keys.put(SECRET, secret)
        store.settings.set(PERSON_NAME, names[0])
        store.settings.set(DEVICE_NAME, names[1])
        store.settings.set(PERSON_ID, person)
        for operation in log.operations():
            store.persons.add(operation)
        for entry in entries:
            store.groups.put(
                GroupRow(
                    entry.group, "", entry.discovery_secret, time, time, personal=entry.personal
                )
            )
            for epoch, epoch_secret in entry.secrets.items():
                store.epochs.put(entry.group, epoch, epoch_secret)
        for row in addresses:
            store.addresses.remember(row)
