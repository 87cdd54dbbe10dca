"""The two functions called without PyNaCl's wrappers agree with these, and check all lengths."""

from __future__ import annotations

import pytest
from nacl import bindings

from lutra.crypto.signing import SigningKey
from lutra.crypto.sodium import is_ed25519_signature, xchacha20poly1305_open

KEY, NONCE = bytes(range(32)), bytes(range(24))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 300, 100_000])
def test_what_the_library_seals_opens_and_nothing_else(size: int) -> None:
    text = bytes(size)
    sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(text, b"context", NONCE, KEY)
    assert xchacha20poly1305_open(KEY, NONCE, sealed, b"context") == text
    for place in (0, len(sealed) - 1):
        bent = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :]
        assert xchacha20poly1305_open(KEY, NONCE, bent, b"context") is None
    assert xchacha20poly1305_open(KEY, NONCE, sealed[:-1], b"context") is None
    assert xchacha20poly1305_open(KEY, NONCE, sealed, b"") is None
    assert xchacha20poly1305_open(bytes(32), NONCE, sealed, b"context") is None
    assert xchacha20poly1305_open(KEY, bytes(24), sealed, b"context") is None


def test_wrong_lengths_never_reach_the_library() -> None:
    for key, nonce in ((KEY[:-1], NONCE), (KEY + b"\0", NONCE), (KEY, NONCE[:-1]), (KEY, b"")):
        with pytest.raises(ValueError, match="bytes"):
            xchacha20poly1305_open(key, nonce, bytes(40), b"")
    for sealed in (b"", bytes(15)):
        assert xchacha20poly1305_open(KEY, NONCE, sealed, b"") is None
    signer = SigningKey(KEY)
    signature = signer.sign(b"text")
    assert is_ed25519_signature(signer.public, b"text", signature)
    for public, signed in (
        (signer.public[:-1], signature),
        (signer.public + b"\0", signature),
        (b"", signature),
        (signer.public, signature[:-1]),
        (signer.public, signature + b"\0"),
        (signer.public, b""),
    ):
        assert not is_ed25519_signature(public, b"text", signed)


@pytest.mark.parametrize("size", [0, 1, 300, 100_000])
def test_signatures_fit_their_message_and_key_only(size: int) -> None:
    signer, other = SigningKey(KEY), SigningKey(bytes(32))
    message = bytes(size)
    signature = signer.sign(message)
    assert is_ed25519_signature(signer.public, message, signature)
    assert not is_ed25519_signature(signer.public, message + b"\0", signature)
    assert not is_ed25519_signature(other.public, message, signature)
    for place in (0, 31, 32, 63):
        bent = signature[:place] + bytes((signature[place] ^ 1,)) + signature[place + 1 :]
        assert not is_ed25519_signature(signer.public, message, bent)
