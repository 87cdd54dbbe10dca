"""What a newcomer must refuse in a Welcome or GroupInfo, and groups that continue others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.mls.world import World, new_client, services
from lutra.mls import (
    Add,
    Credential,
    Extension,
    ExternalJoin,
    Group,
    KeyPackageBundle,
    LeafContent,
    Lifetime,
    Policy,
    PublicGroup,
    ReInit,
    Services,
    create_key_package,
    decode_message,
    encode_message,
    suite_for,
)
from lutra.mls.codec import decode_whole
from lutra.mls.errors import (
    InvalidKeyPackageError,
    InvalidLeafError,
    InvalidWelcomeError,
    MlsMalformedError,
    MlsUsageError,
)
from lutra.mls.framing import WireFormat
from lutra.mls.leaf import EXTENSION_EXTERNAL_SENDERS, ExternalSender, external_senders_extension
from lutra.mls.messages import EncryptedGroupSecrets, GroupSecrets, Welcome
from lutra.mls.proposals import HpkeCiphertext


def trio() -> World:
    world = World(wire_format=WireFormat.PUBLIC_MESSAGE, seed=b"newcomers")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    return world


def _without_path_secret(encoded: bytes, bundle: KeyPackageBundle) -> bytes:
    """A Welcome whose maker keeps the path secret from the newcomer."""
    welcome = decode_message(encoded)
    assert isinstance(welcome, Welcome)
    package = bundle.key_package
    suite = suite_for(package.suite_id)
    (entry,) = welcome.secrets
    plain = suite.decrypt_with_label(
        (bundle.init_private, package.init_key),
        b"Welcome",
        welcome.encrypted_group_info,
        entry.sealed.kem_output,
        entry.sealed.ciphertext,
    )
    secrets = replace(decode_whole(GroupSecrets.decode, plain), path_secret=None)
    sealed = suite.encrypt_with_label(
        package.init_key,
        b"Welcome",
        welcome.encrypted_group_info,
        secrets.encode(),
        services(b"seal").random,
    )
    again = EncryptedGroupSecrets(entry.new_member, HpkeCiphertext(*sealed))
    return encode_message(replace(welcome, secrets=(again,)))


def test_a_welcome_must_not_withhold_the_path_secret() -> None:
    world = trio()
    bundle = world.client("dora")
    staged = world.members["anna"].commit([Add(bundle.key_package)])
    assert staged.welcome is not None
    crippled = _without_path_secret(staged.welcome, bundle)
    with pytest.raises(InvalidWelcomeError) as caught:
        Group.join(crippled, bundle, services=world.services)
    assert caught.value.section == "12.4.3.1"
    Group.join(staged.welcome, bundle, services=world.services)


def test_a_welcome_that_proves_no_continuation_is_refused_where_one_is_expected() -> None:
    world = trio()
    world.commit("cleo", ReInit(b"next", 1, 1, ()))
    anna, ben = world.client("anna"), world.client("ben")
    # Somebody outside knows all public parameters of the announced group, but not its key.
    lure = Group.create(anna, b"next", services=world.services).commit(
        [Add(ben.key_package), Add(world.client("cleo").key_package)]
    )
    assert lure.welcome is not None
    with pytest.raises(InvalidWelcomeError) as caught:
        Group.join(lure.welcome, ben, parent=world.members["ben"], services=world.services)
    assert caught.value.section == "12.4.3.1"
    assert Group.join(lure.welcome, ben, services=world.services).epoch == 1


def test_a_branch_is_judged_by_the_epoch_it_leaves() -> None:
    world = trio()
    old = dict(world.members)
    world.add("anna", "dora")
    anna, dora = world.client("anna"), world.client("dora")
    staged = old["anna"].branch(anna, b"sub", [dora.key_package])
    assert staged.welcome is not None
    # Ben holds the key of the epoch, but its own epoch has members the other had not.
    with pytest.raises(InvalidWelcomeError):
        Group.join(staged.welcome, dora, parent=world.members["ben"], services=world.services)
    with pytest.raises(InvalidWelcomeError):
        Group.join(staged.welcome, dora, parent=old["ben"], services=world.services)
    sound = old["anna"].branch(anna, b"sub", [(ben := world.client("ben")).key_package])
    assert sound.welcome is not None
    assert Group.join(sound.welcome, ben, parent=old["ben"], services=world.services).epoch == 1


def test_a_group_is_not_continued_in_another_version_than_agreed() -> None:
    world = trio()
    world.commit("cleo", ReInit(b"next", 2, 1, ()))
    anna, ben, cleo = (world.client(name) for name in ("anna", "ben", "cleo"))
    others = [ben.key_package, cleo.key_package]
    founder = world.members["anna"]
    with pytest.raises(MlsUsageError):
        founder.reinitialise(anna, others)
    reinit = founder.reinit
    assert reinit is not None
    lying = Group(replace(founder._state, reinit=replace(reinit, version=1)), world.services)
    staged = lying.reinitialise(anna, others)
    assert staged.welcome is not None
    with pytest.raises(InvalidWelcomeError) as caught:
        Group.join(staged.welcome, ben, parent=world.members["ben"], services=world.services)
    assert caught.value.section == "11.2"


def test_newcomers_ask_for_the_credentials_of_external_senders() -> None:
    world = World(seed=b"server")
    sender = ExternalSender(bytes(range(32)), Credential.basic(b"server"))
    extensions = (external_senders_extension((sender,)),)
    world.found("anna", extensions=extensions)
    anna = world.members["anna"]
    asked: list[bytes] = []

    def authenticate(credential: Credential, signature_key: bytes) -> bool:
        asked.append(signature_key)
        return credential.identity != b"server"

    strict = replace(world.services, authenticate=authenticate)
    bundle = world.client("ben")
    request = ExternalJoin(bundle.signature_private, LeafContent.of(bundle.key_package.leaf))
    staged = anna.commit([Add(bundle.key_package)])
    assert staged.welcome is not None
    welcome, info = staged.welcome, anna.group_info()
    for enter in (
        lambda: Group.join(welcome, bundle, services=strict),
        lambda: Group.join_external(info, request, services=strict),
        lambda: PublicGroup.from_group_info(info, services=strict),
        lambda: Group.create(bundle, b"own", extensions=extensions, services=strict),
    ):
        with pytest.raises(InvalidLeafError) as caught:
            enter()
        assert caught.value.section == "5.3.1"
        assert asked[-1] == sender.signature_key
    broken = (Extension(EXTENSION_EXTERNAL_SENDERS, b"\x01"),)
    with pytest.raises(MlsMalformedError):
        Group.create(bundle, b"own", extensions=broken, services=world.services)


def test_leaves_valid_for_too_long_are_refused_wherever_they_stand() -> None:
    patient = services(b"patient", max_lifetime=None)
    ages = Lifetime(0, (1 << 64) - 1)
    bundle = create_key_package(
        1, Credential.basic(b"anna"), patient.random(32), lifetime=ages, random=patient.random
    )
    anna = Group.create(bundle, b"group", services=patient)
    ben = new_client(1, "ben", patient)
    request = ExternalJoin(ben.signature_private, LeafContent.of(ben.key_package.leaf))
    usual = Services(random=patient.random, clock=patient.clock, policy=Policy())
    with pytest.raises(InvalidKeyPackageError) as caught:
        Group.join_external(anna.group_info(), request, services=usual)
    assert caught.value.section == "7.2"
    assert Group.join_external(anna.group_info(), request, services=patient).group.epoch == 1


def test_keys_of_another_package_neither_found_nor_join() -> None:
    world = trio()
    bundle, other = world.client("dora"), world.client("emil")
    staged = world.members["anna"].commit([Add(bundle.key_package)])
    assert staged.welcome is not None
    for wrong in (
        replace(bundle, signature_private=other.signature_private),
        replace(bundle, leaf_private=other.leaf_private),
        replace(bundle, signature_private=b""),
        replace(bundle, leaf_private=bundle.leaf_private[1:]),
    ):
        with pytest.raises(MlsUsageError):
            Group.create(wrong, b"own", services=world.services)
        with pytest.raises(MlsUsageError):
            Group.join(staged.welcome, wrong, services=world.services)
