"""Key packages offered for being added, each vouched for by its device's log key (GROUPS §2.8.4).

The signature keys of MLS leaves are not the devices' log keys: an offer ties the two, so that it
may travel in anybody's operation, a newcomer's own log not being part of the group yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lutra.crypto.random import Random
from lutra.crypto.signing import is_signature
from lutra.groups.contents import Offer
from lutra.groups.errors import ControlError
from lutra.mls import (
    Capabilities,
    Credential,
    KeyPackage,
    KeyPackageBundle,
    Lifetime,
    create_key_package,
    suite_for,
)
from lutra.mls.codec import decode_whole
from lutra.mls.leaf import CREDENTIAL_BASIC
from lutra.mls.suites import CipherSuite

SKEW_SECONDS = 30 * 24 * 3600
"""How far a device's clock may be ahead of that of the one who adds it."""
LIFETIME_SECONDS = 30 * 24 * 3600 + SKEW_SECONDS
"""A key package is good for 30 days by its device's own clock."""
KEPT_AFTER_EXPIRY_SECONDS = 14 * 24 * 3600
"""Competing Welcomes may still arrive that long."""
MAX_OFFERED = 8
_CONTEXT = b"lutra key package v1"


def create_offer(
    device: bytes,
    group: bytes,
    suite_id: int,
    sign: Callable[[bytes], bytes],
    *,
    now: int,
    random: Random,
) -> tuple[Offer, KeyPackageBundle]:
    """Make a key package and vouch for it.

    Args:
        device: the device's public log key.
        group: the group it is for.
        suite_id: cipher suite of the group.
        sign: signs with the device's log key.
        now: seconds since 1970.
        random: source of the keys.

    Returns:
        the offer to publish, and the bundle to keep secret until it was used.
    """
    suite = suite_for(suite_id)
    bundle = create_key_package(
        suite_id,
        Credential.basic(device),
        suite.signatures.generate(random)[0],
        lifetime=Lifetime(now - SKEW_SECONDS, now - SKEW_SECONDS + LIFETIME_SECONDS),
        capabilities=Capabilities(cipher_suites=(suite_id,)),
        grease=False,
        random=random,
    )
    encoded = bundle.key_package.encoded
    return Offer(device, encoded, sign(_CONTEXT + group + encoded)), bundle


def check_offer(offer: Offer, group: bytes, suite: CipherSuite) -> KeyPackage:
    """Return the key package of an offer.

    Raises:
        ControlError: the device did not vouch for it, or it is somebody else's.
        MlsRemoteError: the key package itself is not valid.
    """
    if not is_signature(offer.device, _CONTEXT + group + offer.key_package, offer.signature):
        raise ControlError("A key package is not signed by its device.")
    package = decode_whole(KeyPackage.decode, offer.key_package)
    package.check(suite)
    if device_of(package.leaf.credential) != offer.device:
        raise ControlError("A key package belongs to another device.")
    lifetime = package.leaf.lifetime
    if lifetime is None or lifetime.not_after - lifetime.not_before > LIFETIME_SECONDS:
        raise ControlError("A key package is valid for too long a time.")
    return package


def device_of(credential: Credential) -> bytes:
    """Return the device that a leaf's credential names, empty for a foreign credential."""
    if credential.credential_type != CREDENTIAL_BASIC:
        return b""
    return credential.identity


def is_valid_at(package: KeyPackage, seconds: int) -> bool:
    """Tell whether a key package may be used at a time."""
    lifetime = package.leaf.lifetime
    return lifetime is not None and lifetime.not_before <= seconds <= lifetime.not_after


@dataclass(frozen=True, slots=True)
class _Known:
    index: int
    package: KeyPackage


class OfferBook:
    """All valid offers that the group's operations carry."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[_Known]] = {}
        self._packages: set[KeyPackage] = set()

    def add(self, index: int, device: bytes, package: KeyPackage) -> None:
        """Note an offer carried by the operation at ``index``."""
        self._known.setdefault(device, []).append(_Known(index, package))
        self._packages.add(package)

    def __contains__(self, package: object) -> bool:
        """Tell whether a key package was offered by anybody, and so passed `check_offer`."""
        return package in self._packages

    def has_any(self, device: bytes) -> bool:
        """Tell whether a device has ever offered a key package, whatever became of it."""
        return device in self._known

    def holds(self, device: bytes, encoded: bytes, known: int) -> bool:
        """Tell whether an operation in the bit set ``known`` offers exactly this key package."""
        return any(
            known >> item.index & 1 and item.package.encoded == encoded
            for item in self._known.get(device, ())
        )

    def choose(
        self, device: bytes, known: int, seconds: int, used: Iterable[bytes]
    ) -> KeyPackage | None:
        """Return the key package to add a device with, or None where it offers none.

        An unused one is preferred; the last one may be used again rather than lock a device out.
        """
        usable = [
            item.package
            for item in self._known.get(device, ())
            if known >> item.index & 1 and is_valid_at(item.package, seconds)
        ]
        spent = set(used)
        fresh = [package for package in usable if package.encoded not in spent]
        return (fresh or usable)[-1] if usable else None

    def offered(self, device: bytes, seconds: int, used: Iterable[bytes]) -> int:
        """Return how many unused, valid key packages a device has on offer."""
        spent = set(used)
        return sum(
            is_valid_at(item.package, seconds) and item.package.encoded not in spent
            for item in self._known.get(device, ())
        )
