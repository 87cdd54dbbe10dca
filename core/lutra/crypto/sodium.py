"""libsodium's two functions that bulk work calls most, without PyNaCl's wrappers around them.

Those check and copy so much in Python that opening a short text took three times as long. It is
the library that PyNaCl brings; lengths, on which the safety of memory depends, are checked here.
"""

from __future__ import annotations

from typing import Any

from nacl._sodium import ffi, lib  # pyright: ignore[reportUnknownVariableType]

_FFI: Any = ffi  # pyright: ignore[reportUnknownVariableType]
_LIB: Any = lib  # pyright: ignore[reportUnknownVariableType]
_PUBLIC_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_NONCE_BYTES = 24
_TAG_BYTES = 16


def is_ed25519_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether ``signature`` is ``public_key``'s signature of ``message``."""
    if len(signature) != _SIGNATURE_BYTES or len(public_key) != _PUBLIC_KEY_BYTES:
        return False
    signed = signature + message
    # Without a place for the message libsodium copies nothing.
    return bool(_LIB.crypto_sign_open(_FFI.NULL, _FFI.NULL, signed, len(signed), public_key) == 0)


def xchacha20poly1305_open(
    key: bytes, nonce: bytes, ciphertext: bytes, context: bytes
) -> bytes | None:
    """Return the plaintext, or None where key, nonce, context or ciphertext do not fit.

    Raises:
        ValueError: key or nonce have another length than they must.
    """
    if len(key) != _KEY_BYTES or len(nonce) != _NONCE_BYTES:
        raise ValueError("a key has 32 bytes, a nonce 24")
    size = len(ciphertext) - _TAG_BYTES
    if size < 0:
        return None
    plaintext = _FFI.new("unsigned char[]", size or 1)
    failed = _LIB.crypto_aead_xchacha20poly1305_ietf_decrypt(
        plaintext,
        _FFI.NULL,
        _FFI.NULL,
        ciphertext,
        len(ciphertext),
        context,
        len(context),
        nonce,
        key,
    )
    return None if failed else bytes(_FFI.buffer(plaintext, size))
