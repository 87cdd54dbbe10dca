"""Noise against the official vectors, and against tampering."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.errors import DecryptionError
from lutra.net.errors import HandshakeError
from lutra.net.noise import (
    LUTRA_PROTOCOL,
    CipherState,
    Handshake,
    NoiseUsageError,
    StaticKey,
    parse_protocol,
)

PATTERNS = ("NN", "NK", "KK", "IK", "XX", "NNpsk0", "XXpsk3")
HASHES = ("BLAKE2s", "BLAKE2b", "SHA256", "SHA512")


def side(vector: dict[str, Any], role: str) -> Handshake:
    def key(name: str) -> bytes | None:
        value = vector.get(f"{role}_{name}")
        return bytes.fromhex(value) if value is not None else None

    static, ephemeral = key("static"), key("ephemeral")
    assert ephemeral is not None
    return Handshake(
        vector["protocol_name"],
        initiator=role == "init",
        prologue=key("prologue") or b"",
        static=StaticKey(static) if static else None,
        remote_static=key("remote_static"),
        psks=[bytes.fromhex(psk) for psk in vector.get(f"{role}_psks", [])],
        random=lambda length: ephemeral[:length],
    )


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_official_vector(shared: Path, pattern: str, hash_name: str) -> None:
    vectors = json.loads((shared / "vectors/noise/cacophony.json").read_text())["vectors"]
    name = f"Noise_{pattern}_25519_ChaChaPoly_{hash_name}"
    (vector,) = [vector for vector in vectors if vector["protocol_name"] == name]
    writer, reader = side(vector, "init"), side(vector, "resp")
    sides = (writer, reader)
    messages = [
        (bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]
    ]
    while not writer.finished:
        payload, expected = messages.pop(0)
        assert writer.write(payload) == expected
        assert reader.read(expected) == payload
        writer, reader = reader, writer
    for one in sides:
        assert one.finished
        assert one.transcript == bytes.fromhex(vector["handshake_hash"])
    ciphers = {id(one): one.split() for one in sides}
    assert len(messages) >= 2
    for payload, expected in messages:
        assert ciphers[id(writer)][0].encrypt(payload) == expected
        assert ciphers[id(reader)][1].decrypt(expected) == payload
        writer, reader = reader, writer


def test_every_vector_of_the_file_is_run(shared: Path) -> None:
    vectors = json.loads((shared / "vectors/noise/cacophony.json").read_text())["vectors"]
    names = {f"Noise_{p}_25519_ChaChaPoly_{h}" for p in PATTERNS for h in HASHES}
    assert {vector["protocol_name"] for vector in vectors} == names


def pair() -> tuple[Handshake, Handshake]:
    return (
        Handshake(LUTRA_PROTOCOL, initiator=True, static=StaticKey.generate()),
        Handshake(LUTRA_PROTOCOL, initiator=False, static=StaticKey.generate()),
    )


def run(step: int, change: Callable[[bytes], bytes]) -> None:
    """Run a handshake in which the message number ``step`` is changed on the way."""
    reader, writer = pair()
    for number in range(3):
        writer, reader = reader, writer
        message = writer.write(b"payload")
        reader.read(change(message) if number == step else message)


def test_each_side_learns_the_others_static_key() -> None:
    initiator, responder = pair()
    responder.read(initiator.write())
    initiator.read(responder.write())
    responder.read(initiator.write())
    assert initiator._own_static().public == responder.remote_static
    assert responder._own_static().public == initiator.remote_static
    assert initiator.transcript == responder.transcript


@given(step=st.integers(0, 2), position=st.integers(0), bit=st.integers(0, 7))
def test_no_flipped_bit_survives_the_handshake(step: int, position: int, bit: int) -> None:
    def flip(message: bytes) -> bytes:
        changed = bytearray(message)
        changed[position % len(changed)] ^= 1 << bit
        return bytes(changed)

    # A change of the first, unencrypted message shows in the second.
    with pytest.raises(HandshakeError):
        run(step, flip)


@given(step=st.integers(0, 2), keep=st.integers(0))
def test_no_truncated_message_survives(step: int, keep: int) -> None:
    with pytest.raises(HandshakeError):
        run(step, lambda message: message[: keep % len(message)])


def test_small_order_points_are_refused() -> None:
    initiator, responder = pair()
    initiator.write()
    responder.read(bytes(32))
    with pytest.raises(HandshakeError):
        responder.write()


def test_different_prologues_do_not_meet() -> None:
    key = StaticKey.generate()
    initiator = Handshake(LUTRA_PROTOCOL, initiator=True, prologue=b"1", static=key)
    responder = Handshake(LUTRA_PROTOCOL, initiator=False, prologue=b"2", static=key)
    responder.read(initiator.write())
    with pytest.raises(HandshakeError):
        initiator.read(responder.write())


def test_out_of_turn_use_raises() -> None:
    initiator, responder = pair()
    with pytest.raises(NoiseUsageError):
        responder.write()
    with pytest.raises(NoiseUsageError):
        initiator.read(bytes(32))
    with pytest.raises(NoiseUsageError):
        initiator.split()


@pytest.mark.parametrize(
    "name",
    ["Noise_XX_448_ChaChaPoly_SHA256", "Noise_ZZ_25519_ChaChaPoly_SHA256", "Noise_XX", ""],
)
def test_unknown_protocols_are_named(name: str) -> None:
    with pytest.raises(NoiseUsageError):
        parse_protocol(name)


def test_missing_keys_are_named() -> None:
    with pytest.raises(NoiseUsageError):
        Handshake("Noise_NK_25519_ChaChaPoly_SHA256", initiator=True)
    with pytest.raises(NoiseUsageError):
        Handshake("Noise_NNpsk0_25519_ChaChaPoly_SHA256", initiator=True).write()


def test_a_cipher_refuses_replay_and_survives_it() -> None:
    sender, receiver = CipherState(bytes(32)), CipherState(bytes(32))
    first, second = sender.encrypt(b"one"), sender.encrypt(b"two")
    assert receiver.decrypt(first) == b"one"
    with pytest.raises(DecryptionError):
        receiver.decrypt(first)
    assert receiver.decrypt(second) == b"two"


def test_rekey_changes_the_key_on_both_sides_alike() -> None:
    sender, receiver, stale = (CipherState(bytes(32)) for _ in range(3))
    sender.rekey()
    receiver.rekey()
    sealed = sender.encrypt(b"after")
    assert receiver.decrypt(sealed) == b"after"
    with pytest.raises(DecryptionError):
        stale.decrypt(sealed)


def test_a_cipher_stops_before_its_nonce_wraps() -> None:
    cipher = CipherState(bytes(32))
    cipher.nonce = 2**64 - 1
    with pytest.raises(NoiseUsageError):
        cipher.encrypt(b"")
    with pytest.raises(NoiseUsageError):
        cipher.decrypt(bytes(16))


def test_secrets_do_not_show() -> None:
    secret = bytes(range(32))
    key = StaticKey(secret)
    handshake = Handshake(LUTRA_PROTOCOL, initiator=True, static=key)
    shown = f"{key!r} {handshake!r} {CipherState(secret)!r} {handshake._symmetric!r}"
    assert secret.hex() not in shown
    assert repr(secret) not in shown
