"""HPKE against the drafts' vectors, and round trips for every KEM."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lutra.crypto.hpke import HYBRID, KEMS, Hpke
from lutra.crypto.xwing import XWING
from lutra.errors import DecryptionError, MalformedError, UsageError

SUITES = [(0x10, 1, 1), (0x11, 2, 2), (0x12, 3, 2), (0x20, 1, 1), (0x21, 3, 3), (0x647A, 1, 3)]


def _load(shared: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((shared / "vectors" / name).read_text())


def test_xwing_vectors(shared: Path) -> None:
    vectors = _load(shared, "xwing/xwing.json")
    assert vectors
    for vector in vectors:
        seed, public = bytes.fromhex(vector["sk"]), bytes.fromhex(vector["pk"])
        assert XWING.public_key(seed) == public
        enc = bytes.fromhex(vector["ct"])
        assert XWING.decapsulate(enc, seed, None).hex() == vector["ss"]
        assert XWING.decapsulate(enc, seed, public).hex() == vector["ss"]


def test_hpke_647a_vectors(shared: Path) -> None:
    vectors = _load(shared, "hpke/hpke-pq-647a.json")
    exact = [v for v in vectors if (v["mode"], v["kdf_id"], v["aead_id"]) == (0, 1, 3)]
    assert exact
    for vector in vectors:
        private, public = HYBRID.derive_key_pair(bytes.fromhex(vector["ikmR"]))
        assert private.hex() == vector["skRm"]
        assert public.hex() == vector["pkRm"]
        enc = bytes.fromhex(vector["enc"])
        assert HYBRID.kem.decapsulate(enc, private, public).hex() == vector["shared_secret"]
    for vector in exact:
        hpke = HYBRID
        private, public = hpke.derive_key_pair(bytes.fromhex(vector["ikmR"]))
        enc, info = bytes.fromhex(vector["enc"]), bytes.fromhex(vector["info"])
        context = hpke.setup_receiver(enc, private, info)
        for message in vector["encryptions"]:
            opened = context.open(bytes.fromhex(message["aad"]), bytes.fromhex(message["ct"]))
            assert opened.hex() == message["pt"]
        for export in vector["exports"]:
            value = context.export(bytes.fromhex(export["exporter_context"]), export["L"])
            assert value.hex() == export["exported_value"]
        first = vector["encryptions"][0]
        aad, ciphertext = bytes.fromhex(first["aad"]), bytes.fromhex(first["ct"])
        assert (
            hpke.open(private, enc, info, aad, ciphertext, public_key=public).hex() == first["pt"]
        )


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: f"{s[0]:04x}")
def test_seal_opens_for_the_holder_only(suite: tuple[int, int, int]) -> None:
    hpke = Hpke(*suite)
    private, public = hpke.generate_key_pair()
    assert hpke.derive_key_pair(b"a" * 64) == hpke.derive_key_pair(b"a" * 64)
    assert hpke.public_key(private) == public
    enc, ciphertext = hpke.seal(public, b"info", b"aad", b"text")
    assert len(enc) == hpke.kem.enc_bytes
    assert hpke.open(private, enc, b"info", b"aad", ciphertext) == b"text"
    other, _ = hpke.generate_key_pair()
    for attempt in (
        (other, enc, b"info", b"aad", ciphertext),
        (private, enc, b"inf0", b"aad", ciphertext),
        (private, enc, b"info", b"aae", ciphertext),
        (private, enc, b"info", b"aad", ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,))),
    ):
        with pytest.raises(DecryptionError):
            hpke.open(*attempt)


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: f"{s[0]:04x}")
def test_context_numbers_messages_and_exports(suite: tuple[int, int, int]) -> None:
    hpke = Hpke(*suite)
    private, public = hpke.generate_key_pair()
    enc, sender = hpke.setup_sender(public, b"info")
    receiver = hpke.setup_receiver(enc, private, b"info", public)
    first, second = sender.seal(b"", b"one"), sender.seal(b"", b"two")
    with pytest.raises(DecryptionError):
        receiver.open(b"", second)
    assert [receiver.open(b"", first), receiver.open(b"", second)] == [b"one", b"two"]
    assert sender.export(b"x", 100) == receiver.export(b"x", 100)
    assert sender.export(b"x", 32) != sender.export(b"y", 32)


def test_x25519_matches_rfc_9180_a1() -> None:
    # RFC 9180 appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
    hpke = Hpke(0x20, 1, 1)
    ikm = bytes.fromhex("6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037")
    private, public = hpke.derive_key_pair(ikm)
    assert private.hex() == "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8"
    assert public.hex() == "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
    ciphertext = bytes.fromhex(
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )
    plaintext = hpke.open(private, enc, info, b"Count-0", ciphertext)
    assert plaintext == b"Beauty is truth, truth beauty"


@pytest.mark.parametrize("kem", list(KEMS.values()), ids=lambda k: f"{k.kem_id:04x}")
def test_malformed_keys_are_refused(kem: Any) -> None:
    for size in (0, 1, kem.public_bytes - 1, kem.public_bytes + 1):
        with pytest.raises(MalformedError):
            kem.check_public_key(bytes(size))
        with pytest.raises(MalformedError):
            kem.encapsulate(bytes(size), os.urandom)


def test_small_order_points_and_unreduced_keys_are_refused() -> None:
    with pytest.raises(MalformedError):
        KEMS[0x20].encapsulate(bytes(32), os.urandom)
    with pytest.raises(MalformedError):
        KEMS[0x21].encapsulate(bytes(56), os.urandom)
    with pytest.raises(MalformedError):
        KEMS[0x10].check_public_key(b"\x04" + bytes(64))
    with pytest.raises(MalformedError):
        KEMS[0x647A].check_public_key(b"\xff" * 1216)
    with pytest.raises(UsageError):
        Hpke(0x9999, 1, 1)


def test_hybrid_is_the_default_suite() -> None:
    assert HYBRID.suite_id.hex() == "48504b45647a00010003"
    assert "private" not in repr(HYBRID)
