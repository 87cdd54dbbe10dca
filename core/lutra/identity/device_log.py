"""A person's device log: the signed operations that say which devices are theirs (DESIGN §3).

The log's id is the person's id; every device (and every recovery key, which is a device key kept
offline) writes its own log of that id, and the operations name each other by ``previous``, so that
they form a causal graph. Bodies are deterministic CBOR lists. Names are opaque bytes in here: who
may read them is the caller's business.

Adding takes both sides: the new device's *consent* is its signature over a claim, the hash of
person id and nonce, and over its own key. The claim hides the person until the nonce is told, so
that consent can be asked for before either side knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import blake3_derive
from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey, is_signature
from lutra.errors import SignatureError
from lutra.identity.errors import DeviceLogError
from lutra.operation import Extensions, Operation, sign_operation

CREATE = "person.create"
ADD = "person.add"
REMOVE = "person.remove"
RENAME = "person.rename"
RECOVERY = "person.recovery"
KINDS = frozenset({CREATE, ADD, REMOVE, RENAME, RECOVERY})

MAX_NAME_BYTES = 1024
NONCE_BYTES = 32
SEALING_KEY_BYTES = 1216
"""A public key of `lutra.crypto.hpke.HYBRID`."""
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_CONSENT = b"lutra person consent v1\0"
_KIT_CONSENT = b"lutra recovery kit consent v1\0"


@dataclass(frozen=True, slots=True)
class Create:
    """The first operation; author and nonce determine the person's id."""

    nonce: bytes
    person_name: bytes
    device_name: bytes


@dataclass(frozen=True, slots=True)
class Consent:
    """A device's agreement to belong to the person whose id and ``nonce`` hash to its claim."""

    device: bytes
    nonce: bytes
    signature: bytes

    def check(self, person: bytes) -> None:
        """Raise `SignatureError` unless ``device`` agreed to belong to ``person``."""
        message = _consent_message(claim_of(person, self.nonce), self.device)
        if not is_signature(self.device, message, self.signature):
            raise SignatureError("A device was to be added that did not agree to it.")


@dataclass(frozen=True, slots=True)
class KitConsent:
    """A recovery key's agreement to belong to the person whose id and ``nonce`` hash to its claim.

    Attributes:
        device: the recovery key's public half.
        nonce: hides the person in the claim.
        sealing_key: what others seal to the kit with; a public key of `lutra.crypto.hpke.HYBRID`.
        signature: the recovery key's, over all this.
    """

    device: bytes
    nonce: bytes
    sealing_key: bytes
    signature: bytes

    def check(self, person: bytes) -> None:
        """Raise `SignatureError` unless ``device`` agreed to belong to ``person``."""
        message = _kit_message(person, self.nonce, self.device, self.sealing_key)
        if not is_signature(self.device, message, self.signature):
            raise SignatureError("A recovery kit was to be added that did not agree to it.")


@dataclass(frozen=True, slots=True)
class Add:
    """Adds a device, with its consent."""

    consent: Consent
    device_name: bytes

    @property
    def device(self) -> bytes:
        """The device's public key."""
        return self.consent.device


@dataclass(frozen=True, slots=True)
class Recovery:
    """Adds a recovery key, with its consent; it outranks devices."""

    consent: KitConsent

    @property
    def device(self) -> bytes:
        """The recovery key's public half."""
        return self.consent.device


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes a device or recovery key for good; removing oneself is leaving.

    Attributes:
        device: the key.
        wipe: the device shall delete everything it holds once it hears of this. It does so if it
            goes online and its program was not changed: a thief can prevent both.
    """

    device: bytes
    wipe: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """Gives the person (``device`` is None) or one device a new name."""

    device: bytes | None
    name: bytes


Content = Create | Add | Recovery | Remove | Rename

_KIND_OF: dict[type[Content], str] = {
    Create: CREATE,
    Add: ADD,
    Recovery: RECOVERY,
    Remove: REMOVE,
    Rename: RENAME,
}


def person_id(device: bytes, nonce: bytes) -> bytes:
    """Return the id of the person that ``device`` creates with a random ``nonce``."""
    return blake3_derive("lutra person id v1", device + nonce)


def claim_of(person: bytes, nonce: bytes) -> bytes:
    """Return what a device consents to: it names the person to those who know the nonce only."""
    return blake3_derive("lutra person claim v1", person + nonce)


def sign_claim(key: SigningKey, claim: bytes) -> bytes:
    """Return the consenting signature of the device that holds ``key``."""
    return key.sign(_consent_message(claim, key.public))


def consent(key: SigningKey, person: bytes, random: Random = system_random) -> Consent:
    """Return the consent of a device's key at hand."""
    nonce = random(NONCE_BYTES)
    return Consent(key.public, nonce, sign_claim(key, claim_of(person, nonce)))


def kit_consent(
    key: SigningKey, sealing_key: bytes, person: bytes, random: Random = system_random
) -> KitConsent:
    """Return the consent of a recovery kit's key, which also vouches for its sealing key."""
    nonce = random(NONCE_BYTES)
    signature = key.sign(_kit_message(person, nonce, key.public, sealing_key))
    return KitConsent(key.public, nonce, sealing_key, signature)


def sign_content(
    key: SigningKey,
    person: bytes,
    content: Content,
    *,
    seq_num: int = 0,
    backlink: bytes | None = None,
    previous: tuple[bytes, ...] = (),
    time: int = 0,
) -> Operation:
    """Make the operation that says ``content``, at a place of the signing device's own log."""
    extensions = Extensions(log=person, kind=_KIND_OF[type(content)], previous=previous, time=time)
    return sign_operation(
        key,
        seq_num=seq_num,
        backlink=backlink,
        body=encode_content(content),
        extensions=extensions,
    )


def encode_content(content: Content) -> bytes:
    """Return the body that says ``content``."""
    match content:
        case Create():
            return encode([content.nonce, content.person_name, content.device_name])
        case Add():
            agreed = content.consent
            return encode([agreed.device, agreed.nonce, agreed.signature, content.device_name])
        case Recovery():
            kit = content.consent
            return encode([kit.device, kit.nonce, kit.sealing_key, kit.signature])
        case Remove():
            return encode([content.device, True] if content.wipe else [content.device])
        case Rename():
            return encode([content.device, content.name])


def read_content(operation: Operation, person: bytes) -> Content:
    """Read and check an operation of the device log of ``person``.

    Whether its author may say so depends on the other operations; see `lutra.identity.resolution`.

    Raises:
        DeviceLogError: kind, log or body have not their form.
        SignatureError: a device did not consent to being added.
        MalformedError: the body is not deterministic CBOR.
    """
    extensions = operation.header.extensions
    if extensions.log != person or extensions.prune or operation.body is None:
        raise DeviceLogError("An operation does not belong to this person's devices.")
    fields = _list(decode(operation.body, max_bytes=4 * MAX_NAME_BYTES, max_depth=2))
    content = _content(extensions.kind, fields)
    match content:
        case Create():
            first = operation.seq_num == 0 and not extensions.previous
            if not first or person_id(operation.author, content.nonce) != person:
                raise DeviceLogError("An operation claims to begin a person it does not begin.")
        case Add() | Recovery():
            content.consent.check(person)
        case Remove() | Rename():
            pass
    return content


def _content(kind: str, fields: list[Any]) -> Content:
    match kind, len(fields):
        case "person.create", 3:
            return Create(_sized(fields[0], NONCE_BYTES), _name(fields[1]), _name(fields[2]))
        case "person.add", 4:
            return Add(_consent_of(fields), _name(fields[3]))
        case "person.recovery", 4:
            return Recovery(_kit_consent_of(fields))
        case "person.remove", 1:
            return Remove(_sized(fields[0], _KEY_BYTES))
        case "person.remove", 2 if fields[1] is True:
            return Remove(_sized(fields[0], _KEY_BYTES), wipe=True)
        case "person.rename", 2:
            device = None if fields[0] is None else _sized(fields[0], _KEY_BYTES)
            return Rename(device, _name(fields[1]))
        case _:
            raise DeviceLogError("A person's device said something this program does not know.")


def _consent_message(claim: bytes, device: bytes) -> bytes:
    return _CONSENT + claim + device


def _kit_message(person: bytes, nonce: bytes, device: bytes, sealing_key: bytes) -> bytes:
    return _KIT_CONSENT + claim_of(person, nonce) + device + sealing_key


def _kit_consent_of(fields: list[Any]) -> KitConsent:
    return KitConsent(
        _sized(fields[0], _KEY_BYTES),
        _sized(fields[1], NONCE_BYTES),
        _sized(fields[2], SEALING_KEY_BYTES),
        _sized(fields[3], _SIGNATURE_BYTES),
    )


def _consent_of(fields: list[Any]) -> Consent:
    return Consent(
        _sized(fields[0], _KEY_BYTES),
        _sized(fields[1], NONCE_BYTES),
        _sized(fields[2], _SIGNATURE_BYTES),
    )


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise DeviceLogError("An operation on a person's devices is not a list.")
    return cast("list[Any]", value)


def _sized(value: Any, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise DeviceLogError("An operation on a person's devices has a key of the wrong size.")
    return value


def _name(value: Any) -> bytes:
    if type(value) is not bytes or len(value) > MAX_NAME_BYTES:
        raise DeviceLogError("An operation on a person's devices has a name that is too long.")
    return value
