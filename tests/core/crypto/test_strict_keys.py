"""Keys and signatures that must be refused: wrong lengths, out of range, of small order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from lutra.crypto import schemes
from lutra.crypto.hpke import HYBRID, KEMS, Hpke
from lutra.errors import LutraError, MalformedError, UsageError

P448 = 2**448 - 2**224 - 1
NIST = {0x10: ec.SECP256R1(), 0x11: ec.SECP384R1(), 0x12: ec.SECP521R1()}


@pytest.mark.parametrize("kem_id", sorted(KEMS.keys() - NIST.keys()))
def test_private_keys_of_another_length_are_refused(kem_id: int) -> None:
    # libsodium would read whatever lies behind a short key in memory.
    kem = KEMS[kem_id]
    private, public = kem.derive_key_pair(bytes(kem.private_bytes))
    _, enc = kem.encapsulate(public, lambda length: b"\x07" * length)
    for wrong in (b"", private[:-1], private + b"\x00"):
        for use in (
            lambda wrong=wrong: kem.public_key(wrong),
            lambda wrong=wrong: kem.decapsulate(enc, wrong, public),
            lambda wrong=wrong: kem.decapsulate(enc, wrong, None),
        ):
            with pytest.raises(MalformedError):
                use()


@pytest.mark.parametrize("kem_id", list(NIST))
def test_private_keys_outside_their_curve_are_refused(kem_id: int) -> None:
    kem, order = KEMS[kem_id], NIST[kem_id].group_order
    for value in (0, order, order + 1, (1 << (8 * kem.private_bytes)) - 1):
        with pytest.raises(MalformedError):
            kem.public_key(value.to_bytes(kem.private_bytes, "big"))


@pytest.mark.parametrize("kem_id", list(NIST))
def test_points_off_their_curve_are_refused(kem_id: int) -> None:
    kem = KEMS[kem_id]
    _, public = kem.derive_key_pair(bytes(kem.private_bytes))
    bent = public[:-1] + bytes((public[-1] ^ 1,))
    compressed = b"\x02" + public[1 : 1 + kem.private_bytes]
    for wrong in (bent, compressed, b"\x00", public[:1] + bytes(len(public) - 1)):
        with pytest.raises(MalformedError):
            kem.check_public_key(wrong)
        with pytest.raises(MalformedError):
            kem.encapsulate(wrong, lambda length: b"\x07" * length)


def test_hybrid_keys_with_numbers_beyond_the_modulus_are_refused() -> None:
    kem = HYBRID.kem
    _, public = kem.derive_key_pair(bytes(kem.private_bytes))
    kem.check_public_key(public)
    numbers = int.from_bytes(public[:1152], "little")
    for place in range(768):
        others = numbers & ~(0xFFF << 12 * place)
        for value in (0, 3328, 3329, 4095):
            bent = (others | value << 12 * place).to_bytes(1152, "little") + public[1152:]
            try:
                # The library judges by itself.
                kem.encapsulate(bent, lambda length: b"\x07" * length)
            except MalformedError:
                assert value >= 3329
                with pytest.raises(MalformedError):
                    kem.check_public_key(bent)
            else:
                assert value < 3329
                kem.check_public_key(bent)
    for wrong in (b"", public[:-1], public + b"\x00"):
        with pytest.raises(MalformedError):
            kem.check_public_key(wrong)


def test_signing_needs_whole_keys() -> None:
    private, public = schemes.ED25519.generate()
    for wrong in ((private[:-1], public), (private, public[:-1]), (b"", b""), (private, b"")):
        with pytest.raises(UsageError):
            schemes.ED25519.sign(wrong[0], b"message", wrong[1])


def test_ed448_keys_of_small_order_vouch_for_nothing() -> None:
    points = [
        y.to_bytes(56, "little") + sign
        for y in (0, 1, P448 - 1, P448, P448 + 1)
        for sign in (b"\x00", b"\x80")
    ]
    # OpenSSL takes the point of order 4 with R = itself and S = 0 for a signature of anything.
    raw = ed448.Ed448PublicKey.from_public_bytes(points[0])
    raw.verify(points[0] + bytes(57), b"anything")
    for key in points:
        for nonce in points:
            assert not schemes.ED448.is_valid(key, b"anything", nonce + bytes(57))
    private, public = schemes.ED448.generate()
    assert schemes.ED448.is_valid(public, b"m", schemes.ED448.sign(private, b"m", public))


def test_ed25519_keys_of_small_order_vouch_for_nothing() -> None:
    identity = b"\x01" + bytes(31)
    assert not schemes.ED25519.is_valid(identity, b"anything", identity + bytes(32))


@pytest.mark.parametrize("scheme", [schemes.ED25519, schemes.ED448])
def test_eddsa_signatures_have_one_form(scheme: schemes.SignatureScheme) -> None:
    private, public = scheme.generate()
    signature = scheme.sign(private, b"m", public)
    size = len(public)
    order = {
        32: 2**252 + 27742317777372353535851937790883648493,
        57: 2**446 - 0x8335DC163BB124B65129C96FDE933D8D723A70AADC873D6D54A7BB0D,
    }[size]
    scalar = int.from_bytes(signature[size:], "little") + order
    assert scheme.is_valid(public, b"m", signature)
    assert not scheme.is_valid(public, b"m", signature[:size] + scalar.to_bytes(size, "little"))


@pytest.mark.parametrize("scheme", [schemes.ECDSA_P256, schemes.ECDSA_P384, schemes.ECDSA_P521])
def test_ecdsa_signatures_are_strict_der(scheme: schemes.Ecdsa) -> None:
    private, public = scheme.generate()
    signature = scheme.sign(private, b"m", public)
    r, s = decode_dss_signature(signature)
    assert scheme.is_valid(public, b"m", encode_dss_signature(r, s))
    long_form = signature[:1] + b"\x81" + signature[1:] if signature[1] < 128 else b""
    order = scheme._curve.group_order
    for wrong in (
        signature + b"\x00",
        signature[:-1],
        long_form,
        encode_dss_signature(0, s),
        encode_dss_signature(r, 0),
        encode_dss_signature(r, s + order),
        encode_dss_signature(r + order, s),
        b"",
    ):
        assert not scheme.is_valid(public, b"m", wrong)


def _export(hpke: Hpke, length: int) -> bytes:
    _, public = hpke.generate_key_pair()
    return hpke.setup_sender(public, b"")[1].export(b"context", length)


def test_exported_secrets_are_bounded() -> None:
    assert len(_export(HYBRID, 255 * 32)) == 255 * 32
    with pytest.raises(UsageError):
        _export(HYBRID, 255 * 32 + 1)


def _typed(act: Callable[[], object]) -> bool:
    try:
        act()
    except LutraError:
        return True
    return False


@pytest.mark.parametrize("kem_id", list(KEMS))
def test_encapsulations_of_another_length_are_refused(kem_id: int) -> None:
    kem = KEMS[kem_id]
    private, public = kem.derive_key_pair(bytes(kem.private_bytes))
    for wrong in (b"", bytes(kem.enc_bytes - 1), bytes(kem.enc_bytes + 1)):
        assert _typed(lambda wrong=wrong: kem.decapsulate(wrong, private, public))
