"""A profile that came out of a backup goes on as a new device.

The device it was copied from may have written on. Two devices with one key would sign two
histories, so the restored profile gets a key of its own: the old key's last act here is to add the
new one to the person. The groups hear of it by the new device's own word, it is given a place and
keys by whichever member is met, and the old key is withdrawn once the person's newer statements, if
there are any, had a chance to arrive.

Edits in the backup that had not been put into operations are made anew, as text, by the new device.
"""

from __future__ import annotations

from collections.abc import Callable

from lutra.crypto.random import Random
from lutra.crypto.signing import SigningKey
from lutra.documents.body import read_kept
from lutra.documents.document import Document
from lutra.errors import BugError
from lutra.identity.device_log import consent
from lutra.identity.person import Person
from lutra.node.new_identity import DEVICE, DEVICE_NAME, PERSON_ID, SECRET, name_key, seal_name
from lutra.node.own_devices import PUBLISHED
from lutra.node.person_registry import PersonRegistry
from lutra.store.backup import RESTORED, is_restored
from lutra.store.store import Store

_OLD_DEVICE = "backup.old_device"


def continue_anew(store: Store, random: Random, now: Callable[[], int]) -> bool:
    """Give a restored profile a device key of its own; False if it was not restored.

    All of it is one transaction, so a crash leaves the profile restored and untouched.

    Raises:
        DeviceNotInPersonError: the device had been removed from its person before the backup.
    """
    seed, person_id = store.keys.get(DEVICE), store.settings.get(PERSON_ID)
    if not is_restored(store) or seed is None:
        return False
    secret = store.keys.get(SECRET)
    if not isinstance(person_id, bytes) or secret is None:
        raise BugError("A restored profile lacks its person.")
    old, new = SigningKey(seed), SigningKey.generate(random)
    with store.transaction(full_sync=True):
        person = Person(person_id, store.persons.operations(person_id))
        name = seal_name(name_key(secret), str(store.settings.get(DEVICE_NAME)), random)
        addition = person.add(old, consent(new, person_id, random), name, now())
        store.persons.add(addition)
        for document in store.drafts.documents_with_drafts():
            _make_anew(store, document, old.public, new.public, now)
        store.keys.put(DEVICE, new.seed())
        store.settings.set(PUBLISHED, None)
        store.settings.set(_OLD_DEVICE, old.public)
        store.settings.set(RESTORED, None)
    return True


def retire(store: Store, persons: PersonRegistry, *, caught_up: bool) -> None:
    """Withdraw the key from before a restore, if there is one and it is time.

    Args:
        store: the profile's.
        persons: this device's person.
        caught_up: somebody was met who may have newer statements about the person, or nobody could
            have any.
    """
    old = store.settings.get(_OLD_DEVICE)
    if not isinstance(old, bytes) or not caught_up:
        return
    store.settings.set(_OLD_DEVICE, None)
    known = persons.own.state.device(old)
    if known is not None and known.active:
        persons.remove_device(old)


def _make_anew(
    store: Store, identity: bytes, old: bytes, new: bytes, now: Callable[[], int]
) -> None:
    """Turn drafts of the old device into one of the new device that leads to the same text."""
    drafts = store.drafts.list(identity)
    row = store.documents.get(identity)
    if row is None or row.deleted:
        return

    def load(device: bytes) -> Document:
        return Document.load(
            identity,
            device,
            store.documents.snapshot(identity),
            [read_kept(kept) for kept in store.documents.tail(identity)],
            clock=lambda: now() // 1000,
        )

    wanted, document = load(old), load(new)
    for draft in drafts:
        wanted.apply_local(draft.update)
    store.drafts.delete_through(identity, drafts[-1].id)
    document.replace_title(wanted.title)
    document.replace_text(wanted.text)
    update = document.take_local()
    if update is not None:
        store.drafts.add(identity, update)
