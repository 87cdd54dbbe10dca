"""What a group needs from outside: randomness, time, credential checks, keys, limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lutra.crypto.random import Random, system_random
from lutra.mls.framing import WireFormat
from lutra.mls.leaf import Credential
from lutra.mls.proposals import PSK_EXTERNAL, PreSharedKeyId
from lutra.mls.secret_tree import RatchetLimits

Clock = Callable[[], float]
"""Returns the time in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices RFC 9420 leaves to the application.

    Attributes:
        limits: bounds on skipped message keys (§15.3).
        max_lifetime: longest total lifetime of a key package in seconds (§7.2), or no limit.
        check_received_lifetimes: also refuse received Adds outside their lifetime (§7.3
            recommends it; turn it off where validity must not depend on a clock).
        resumption_epochs: past epochs whose resumption keys are kept (§8.6).
        handshake_format: how proposals and commits of members travel.
        padding_block: application messages are padded to a multiple of this; 0 pads nothing.
        hold_with_proposals: refuse to send application data while proposals wait (§12.4).
        max_proposals: most received proposals kept for one epoch; further ones are refused.
        max_sender_proposals: most of them from one sender.
        max_proposal_bytes: most bytes in those of more than 64 KiB.
        grease: add values to GroupInfos that others must ignore (§13.5).
        new_member_proposals: accept Adds that newcomers propose for themselves (§12.1.8).
    """

    limits: RatchetLimits = field(default_factory=RatchetLimits)
    max_lifetime: int | None = 100 * 24 * 3600
    check_received_lifetimes: bool = True
    resumption_epochs: int = 32
    handshake_format: WireFormat = WireFormat.PRIVATE_MESSAGE
    padding_block: int = 0
    hold_with_proposals: bool = True
    max_proposals: int = 4096
    max_sender_proposals: int = 1024
    max_proposal_bytes: int = 1 << 26
    grease: bool = True
    new_member_proposals: bool = False


def _accept(credential: Credential, signature_key: bytes) -> bool:
    return True


def _is_same(old: Credential, new: Credential) -> bool:
    return old == new


@dataclass(frozen=True, slots=True)
class Services:
    """Injected into every group; never stored with it.

    The defaults accept every credential: with them, whoever sees a GroupInfo may join by external
    commit, and may replace a member by claiming its credential. Give `authenticate` wherever
    messages can come from strangers.

    Attributes:
        random: source of all randomness.
        clock: source of time.
        authenticate: the Authentication Service (§5.3.1): may this credential use this
            signature key here?
        succeeds: may the second credential replace the first (§5.3.1)?
        policy: limits and choices.
    """

    random: Random = system_random
    clock: Clock = time.time
    authenticate: Callable[[Credential, bytes], bool] = _accept
    succeeds: Callable[[Credential, Credential], bool] = _is_same
    policy: Policy = field(default_factory=Policy)


PskLookup = Callable[[PreSharedKeyId], bytes | None]
"""Finds a pre-shared key, or returns ``None``."""


def no_psks(psk_id: PreSharedKeyId) -> None:
    """A lookup that knows no pre-shared keys."""
    return


@dataclass(frozen=True, slots=True)
class PskStore:
    """A lookup over two mappings.

    Attributes:
        external: key by name.
        resumption: key by (group id, epoch), see `Group.resumption_psk`.
    """

    external: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes], repr=False)
    resumption: Mapping[tuple[bytes, int], bytes] = field(
        default_factory=dict[tuple[bytes, int], bytes], repr=False
    )

    def __call__(self, psk_id: PreSharedKeyId) -> bytes | None:
        """Find a key."""
        if psk_id.psk_type == PSK_EXTERNAL:
            return self.external.get(psk_id.psk_id)
        return self.resumption.get((psk_id.group_id, psk_id.epoch))
