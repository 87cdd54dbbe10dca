"""What a profile gets once: a device key, a person that has this device, and their names.

A profile may also begin with a device key alone and wait for its person: a device that is to be
paired with others of somebody's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from lutra.crypto.aead import seal
from lutra.crypto.kdf import hkdf
from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.errors import UsageError
from lutra.groups.cards import MAX_NAME_LENGTH
from lutra.identity.person import Person
from lutra.operation import Operation
from lutra.store.store import Store

DEVICE = "device"
"""Name of the device's signing key among the store's keys."""
SECRET = "person_secret"  # noqa: S105
"""Name of the key that only a person's own devices hold; names in the device log are under it."""
PERSON_ID = "person"
"""Setting: id of the person this device belongs to."""
PERSON_NAME, DEVICE_NAME = "person_name", "device_name"
SECRET_BYTES = 32
WAITING = "waits_for_person"
"""Setting: the device has a key and waits for the person it is to belong to."""


def create_identity(
    store: Store, name: str, device_name: str, random: Random = system_random, *, time: int = 0
) -> None:
    """Give a profile that has no person yet its keys, names and person.

    Args:
        store: the profile's.
        name: what the person is called.
        device_name: what the device is called.
        random: source of the keys.
        time: milliseconds since 1970, for display.

    Raises:
        UsageError: a name is empty or too long.
    """
    name, device_name = checked_name(name), checked_name(device_name)
    with store.transaction(full_sync=True):
        store.keys.put(DEVICE, SigningKey.generate(random).seed())
        store.settings.set(PERSON_NAME, name)
        store.settings.set(DEVICE_NAME, device_name)
        # The device may have been meant to be paired before.
        store.settings.set(WAITING, None)
        create_person(store, random, time=time)


def create_person(store: Store, random: Random, *, time: int) -> None:
    """Begin a person with the profile's device as its first."""
    seed = store.keys.get(DEVICE)
    assert seed is not None
    with store.transaction(full_sync=True):
        secret = random(SECRET_BYTES)
        store.keys.put(SECRET, secret)
        key = name_key(secret)
        person = Person.create(
            SigningKey(seed),
            person_name=seal_name(key, str(store.settings.get(PERSON_NAME)), random),
            device_name=seal_name(key, str(store.settings.get(DEVICE_NAME)), random),
            time=time,
            random=random,
        )
        for operation in person.operations():
            store.persons.add(operation)
        store.settings.set(PERSON_ID, person.id)


def create_waiting(store: Store, device_name: str, random: Random = system_random) -> None:
    """Give a new profile a device key only: its person comes by pairing.

    Raises:
        UsageError: the name is empty or too long.
    """
    device_name = checked_name(device_name)
    with store.transaction(full_sync=True):
        store.keys.put(DEVICE, SigningKey.generate(random).seed())
        store.settings.set(DEVICE_NAME, device_name)
        store.settings.set(WAITING, 1)


def is_waiting(store: Store) -> bool:
    """Tell whether a profile has a device key and waits for its person."""
    return store.settings.get(WAITING) is not None


def enter_person(
    store: Store, person: bytes, operations: Iterable[Operation], *, secret: bytes, name: str
) -> None:
    """Make the profile's device one of a person that has taken it in.

    Args:
        store: the profile's.
        person: the person's id.
        operations: its device log, verified; it lists the device.
        secret: what the person's devices share.
        name: what the person is called.
    """
    with store.transaction(full_sync=True):
        for operation in operations:
            store.persons.add(operation)
        store.keys.put(SECRET, secret)
        store.settings.set(PERSON_ID, person)
        store.settings.set(PERSON_NAME, name)
        store.settings.set(WAITING, None)


def name_key(secret: bytes) -> bytes:
    """Return the key that names in a person's device log are encrypted with."""
    return hkdf(secret, b"lutra person names v1")


def seal_name(key: bytes, name: str, random: Random) -> bytes:
    """Return a name as it stands in a person's device log."""
    return seal(key, name.encode(), b"", random)


def checked_name(name: str) -> str:
    """Return a name without surrounding space.

    Raises:
        UsageError: nothing is left, it is too long, or it is not one line of text.
    """
    name = name.strip()
    if not name:
        raise UsageError("A name must not be empty.")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in name):
        raise UsageError("A name must be one line, without control characters.")
    if len(name) > MAX_NAME_LENGTH:
        raise UsageError(f"A name may have at most {MAX_NAME_LENGTH} characters.")
    return name
