"""Epoch secrets in their first form: one 32-byte secret, sealed to every device with HPKE.

Every new epoch also carries the secrets of the epochs before it, encrypted under its own, so that
newcomers can read what was written before they came (the ``archive`` profile).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from lutra.codec import decode, encode
from lutra.crypto import aead
from lutra.crypto.hashing import equal_constant_time
from lutra.crypto.hpke import HYBRID
from lutra.crypto.kdf import hkdf
from lutra.crypto.random import Random, system_random
from lutra.errors import DecryptionError, MalformedError
from lutra.groups.control import Links, NewEpoch, SealedSecret
from lutra.groups.errors import ControlError

SECRET_BYTES = 32


class SealingKey:
    """A device's HPKE key pair, to which epoch secrets are sealed."""

    __slots__ = ("_private", "public")

    public: bytes

    def __init__(self, private: bytes) -> None:
        self._private = private
        self.public = HYBRID.public_key(private)

    @classmethod
    def generate(cls, random: Random) -> SealingKey:
        """Make a new key pair."""
        return cls(HYBRID.generate_key_pair(random)[0])

    def private_bytes(self) -> bytes:
        """Return the private key, for storing it; keep it out of sight."""
        return self._private

    def open(self, seal: SealedSecret, group: bytes, commitment: bytes) -> bytes:
        """Open a secret that was sealed to this device.

        Raises:
            DecryptionError: it was sealed to another key or for another place.
            MalformedError: the encapsulated key is not one.
        """
        return HYBRID.open(
            self._private,
            seal.enc,
            _info(group),
            seal.device + commitment,
            seal.ciphertext,
            public_key=self.public,
        )

    def __repr__(self) -> str:
        return f"SealingKey(public={self.public[:8].hex()}…)"


def is_sealing_key(public: bytes) -> bool:
    """Tell whether secrets can be sealed to a public key."""
    try:
        HYBRID.seal(public, b"", b"", b"", system_random)
    except MalformedError:
        return False
    return True


def commitment_to(secret: bytes) -> bytes:
    """Return the public value that ties an epoch to one secret."""
    return hkdf(secret, b"lutra epoch commitment v1")


def make_epoch(
    group: bytes,
    recipients: Mapping[bytes, bytes],
    known: Mapping[bytes, bytes],
    random: Random,
) -> NewEpoch:
    """Make a fresh epoch secret and seal it to each recipient.

    Args:
        group: the group's id.
        recipients: device → public sealing key, for every device of the roster.
        known: epoch id → secret of all epochs before, to be linked.
        random: source of the secret.
    """
    secret = random(SECRET_BYTES)
    commitment = commitment_to(secret)
    seals: list[SealedSecret] = []
    for device in sorted(recipients):
        enc, ciphertext = HYBRID.seal(
            recipients[device], _info(group), device + commitment, secret, random
        )
        seals.append(SealedSecret(device, enc, ciphertext))
    linked = tuple(sorted(known))
    return NewEpoch(
        commitment, tuple(seals), linked, _seal_links(group, secret, linked, known, random)
    )


def make_links(
    group: bytes,
    source: bytes,
    source_secret: bytes,
    secrets: Mapping[bytes, bytes],
    random: Random,
) -> Links:
    """Encrypt ``secrets`` (epoch id → secret) under the epoch ``source``."""
    linked = tuple(sorted(secrets))
    return Links(source, linked, _seal_links(group, source_secret, linked, secrets, random))


def open_epoch(group: bytes, epoch: NewEpoch, device: bytes, key: SealingKey) -> bytes:
    """Return an epoch's secret as a recipient.

    Raises:
        ControlError: the device is no recipient, or the secret is not the one committed to.
        DecryptionError: the seal does not open.
    """
    for seal in epoch.seals:
        if seal.device == device:
            secret = key.open(seal, group, epoch.commitment)
            if not equal_constant_time(commitment_to(secret), epoch.commitment):
                raise ControlError("A group key differs from the one its sender committed to.")
            return secret
    raise ControlError("A group key was not sealed to this device.")


def open_links(
    group: bytes, secret: bytes, linked: tuple[bytes, ...], links: bytes
) -> dict[bytes, bytes]:
    """Return the epoch secrets that were linked under ``secret``.

    Raises:
        DecryptionError: they were not encrypted under this secret.
        ControlError: their number or form is wrong.
    """
    plaintext = aead.unseal(_link_key(secret), links, _links_context(group, linked))
    try:
        value = decode(plaintext)
    except MalformedError:
        value = None
    secrets = cast("list[object]", value) if type(value) is list else []
    opened = {
        epoch: secret
        for epoch, secret in zip(linked, secrets, strict=False)
        if type(secret) is bytes and len(secret) == SECRET_BYTES
    }
    if len(opened) != len(linked) or len(secrets) != len(linked):
        raise ControlError("The older keys of a group have not their form.")
    return opened


def try_open_links(
    group: bytes, secret: bytes, linked: tuple[bytes, ...], links: bytes
) -> dict[bytes, bytes]:
    """Like `open_links`, but a member's unusable links yield nothing: others may repair them."""
    try:
        return open_links(group, secret, linked, links)
    except (DecryptionError, ControlError):
        return {}


def _seal_links(
    group: bytes,
    secret: bytes,
    linked: Iterable[bytes],
    known: Mapping[bytes, bytes],
    random: Random,
) -> bytes:
    ids = tuple(linked)
    plaintext = encode([known[epoch] for epoch in ids])
    return aead.seal(_link_key(secret), plaintext, _links_context(group, ids), random)


def _link_key(secret: bytes) -> bytes:
    return hkdf(secret, b"lutra epoch links v1")


def _links_context(group: bytes, linked: tuple[bytes, ...]) -> bytes:
    return b"lutra links v1" + group + b"".join(linked)


def _info(group: bytes) -> bytes:
    return b"lutra epoch v1" + group
