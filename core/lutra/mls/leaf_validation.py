"""Whether leaves may stand in a group (RFC 9420 §7.3, §10.1, §11.1)."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from lutra.mls.codec import decode_whole
from lutra.mls.errors import InvalidKeyPackageError, InvalidLeafError, InvalidTreeError
from lutra.mls.key_package import KeyPackage
from lutra.mls.leaf import (
    EXTENSION_EXTERNAL_SENDERS,
    EXTENSION_REQUIRED_CAPABILITIES,
    PROTOCOL_MLS10,
    Extensions,
    ExternalSender,
    LeafNode,
    Lifetime,
    RequiredCapabilities,
    find_extension,
)
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.services import Services
from lutra.mls.suites import CipherSuite


def required_capabilities(extensions: Extensions) -> RequiredCapabilities:
    """Return what the group context's extensions require of members (§11.1)."""
    data = find_extension(extensions, EXTENSION_REQUIRED_CAPABILITIES)
    if data is None:
        return RequiredCapabilities()
    return decode_whole(RequiredCapabilities.decode, data)


def external_senders(extensions: Extensions) -> tuple[ExternalSender, ...]:
    """Return the external senders the group context admits (§12.1.8.1)."""
    data = find_extension(extensions, EXTENSION_EXTERNAL_SENDERS)
    if data is None:
        return ()
    return decode_whole(lambda reader: reader.items(ExternalSender.decode), data)


def check_lifetime(lifetime: Lifetime | None, services: Services, *, is_sending: bool) -> None:
    """Check a key package's lifetime (§7.2, §7.3).

    Raises:
        InvalidKeyPackageError: it is over, not begun, or longer than the policy allows.
    """
    if lifetime is None:
        return
    check_total_lifetime(lifetime, services)
    if (is_sending or services.policy.check_received_lifetimes) and not (
        lifetime.not_before <= services.clock() <= lifetime.not_after
    ):
        raise InvalidKeyPackageError("A key package is not valid at this time.", "7.3")


def check_total_lifetime(lifetime: Lifetime | None, services: Services) -> None:
    """Check how long a lifetime is in all, wherever its leaf appears (§7.2).

    Raises:
        InvalidKeyPackageError: it is longer than the policy allows, or ends before it begins.
    """
    longest = services.policy.max_lifetime
    if lifetime is not None and (
        lifetime.not_after < lifetime.not_before
        or (longest is not None and lifetime.not_after - lifetime.not_before > longest)
    ):
        raise InvalidKeyPackageError("A key package is valid for too long a time.", "7.2")


def check_key_package(
    key_package: KeyPackage,
    suite: CipherSuite,
    services: Services,
    *,
    is_sending: bool,
    checked: Container[KeyPackage] = frozenset(),
) -> None:
    """Check a key package before its owner is added (§10.1).

    Its extensions outside the leaf may be of any type: unknown ones are ignored (§10).

    Args:
        key_package: what was offered.
        suite: the group's.
        services: for the credential, the time and limits.
        is_sending: whether we add it ourselves.
        checked: those that `KeyPackage.check` has passed for this suite.

    Raises:
        InvalidKeyPackageError: a rule is broken.
    """
    if key_package not in checked:
        key_package.check(suite)
    check_lifetime(key_package.leaf.lifetime, services, is_sending=is_sending)
    leaf = key_package.leaf
    if not services.authenticate(leaf.credential, leaf.signature_key):
        raise InvalidKeyPackageError("The credential of a key package was refused.", "5.3.1")


def check_replacement(old: LeafNode, new: LeafNode, services: Services) -> None:
    """Check that a leaf may replace another one of the same member (§5.3.1, §7.3).

    Raises:
        InvalidLeafError: it reuses the key, or its credential is no valid successor.
    """
    if new.encryption_key == old.encryption_key:
        raise InvalidLeafError("A new leaf keeps the old encryption key.", "7.3")
    if new.credential == old.credential and new.signature_key == old.signature_key:
        return
    if not services.succeeds(old.credential, new.credential) or not services.authenticate(
        new.credential, new.signature_key
    ):
        raise InvalidLeafError("A member's new credential was refused.", "5.3.1")


def check_leaf_signature(
    leaf: LeafNode, suite: CipherSuite, group_id: bytes, leaf_index: int
) -> None:
    """Check a leaf's signature and its keys' form (§7.3).

    Raises:
        InvalidLeafError: the signature is wrong.
        MlsMalformedError: the encryption key is not one of the suite.
    """
    suite.check_hpke_key(leaf.encryption_key, "7.3")
    if not leaf.is_signed(suite, group_id, leaf_index):
        raise InvalidLeafError("A leaf is not signed by its member.", "7.3", leaf=leaf_index)


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a group needs every member to support: sets, since both sides may be long."""

    extensions: frozenset[int]
    proposals: frozenset[int]
    credentials: frozenset[int]

    @classmethod
    def of(cls, extensions: Extensions) -> _Needs:
        required = required_capabilities(extensions)
        in_use = (extension.extension_type for extension in extensions)
        return cls(
            frozenset((*in_use, *required.extensions)),
            frozenset(required.proposals),
            frozenset(required.credentials),
        )


def check_capabilities(leaf: LeafNode, suite: CipherSuite, extensions: Extensions) -> None:
    """Check one leaf against the group's parameters (§7.3, §11.1, §13.4).

    Raises:
        InvalidLeafError: the leaf's capabilities do not cover them, or its own extensions.
    """
    _check_needs(leaf, suite, _Needs.of(extensions))


def _check_needs(leaf: LeafNode, suite: CipherSuite, needs: _Needs) -> None:
    capabilities = leaf.capabilities
    if PROTOCOL_MLS10 not in capabilities.versions or (
        suite.suite_id not in capabilities.cipher_suites
    ):
        raise InvalidLeafError("A member does not support the group's cipher suite.", "7.3")
    if leaf.credential.credential_type not in capabilities.credentials:
        raise InvalidLeafError("A leaf does not list its own type of credential.", "7.2")
    supported = capabilities.supported_extensions()
    in_use = {extension.extension_type for extension in leaf.extensions}
    for used in (in_use, needs.extensions):
        if not used <= supported:
            raise InvalidLeafError(
                "A member does not support an extension in use.",
                "7.3",
                extension=min(used - supported),
            )
    if not needs.proposals <= capabilities.supported_proposals() or (
        not needs.credentials <= set(capabilities.credentials)
    ):
        raise InvalidLeafError("A member does not support what the group requires.", "11.1")


def check_members(tree: RatchetTree, extensions: Extensions, changed: Iterable[int] | None) -> None:
    """Check that all members fit together (§7.3).

    Args:
        tree: the tree after a commit's proposals and path.
        extensions: of the group context then.
        changed: leaf indices whose leaves are new; ``None`` for all, when joining or when the
            group's extensions changed.

    Raises:
        InvalidLeafError: a credential type or a required capability is not supported.
        InvalidTreeError: a key occurs twice.
    """
    members = dict(tree.members())
    signature_keys = {leaf.signature_key for leaf in members.values()}
    encryption_keys = {leaf.encryption_key for leaf in members.values()}
    if len(signature_keys) < len(members) or len(encryption_keys) < len(members):
        raise InvalidTreeError("Two members share one key.", "7.3")
    if not encryption_keys.isdisjoint(node.encryption_key for _, node in tree.parents()):
        raise InvalidTreeError("A member uses the key of a parent node.", "12.4.3.1")
    in_use = {leaf.credential.credential_type for leaf in members.values()}
    for supported in {leaf.capabilities.credentials for leaf in members.values()}:
        if not in_use.issubset(supported):
            raise InvalidLeafError("A type of credential is not supported by everybody.", "7.3")
    needs = _Needs.of(extensions)
    for leaf_index in members if changed is None else changed:
        _check_needs(members[leaf_index], tree.suite, needs)


def check_external_senders(extensions: Extensions, before: Extensions, services: Services) -> None:
    """Check credentials of newly admitted external senders (§5.3.1).

    Raises:
        InvalidLeafError: the application refuses one.
    """
    known = set(external_senders(before))
    for sender in external_senders(extensions):
        if sender not in known and not services.authenticate(
            sender.credential, sender.signature_key
        ):
            raise InvalidLeafError("The credential of an external sender was refused.", "5.3.1")
