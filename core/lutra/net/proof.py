"""How a device proves its Ed25519 key inside a Noise handshake.

A proof is the device's public key and a signature over everything that makes the handshake unique:
the role of the prover, the versions offered, the transcript hash, both static keys and, for the
responder, the device it answers to. So it is worth nothing in another handshake (relaying), in the
other role (reflection) or under another device's name (misbinding). Noise's transcript holds static
keys only as ciphertexts, which do not commit to their key; hence the keys are signed themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.crypto.signing import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey, is_signature
from lutra.net.errors import DeviceProofError

PROOF_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES

_INITIATOR_CONTEXT = b"lutra device proof, initiator\0"
_RESPONDER_CONTEXT = b"lutra device proof, responder\0"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a proof covers besides the prover; every field has a fixed length.

    Attributes:
        versions: both sides' clear-text prefaces, the initiator's first.
        transcript: Noise transcript hash at the moment of the proof.
        initiator_static: 32 bytes.
        responder_static: 32 bytes.
    """

    versions: bytes
    transcript: bytes
    initiator_static: bytes
    responder_static: bytes

    def _message(self, device: bytes, answers: bytes | None) -> bytes:
        return b"".join(
            (
                _INITIATOR_CONTEXT if answers is None else _RESPONDER_CONTEXT,
                self.versions,
                self.transcript,
                self.initiator_static,
                self.responder_static,
                device,
                answers or b"",
            )
        )

    def prove(self, key: SigningKey, answers: bytes | None = None) -> bytes:
        """Return the proof of ``key``; a responder names the initiator's device it ``answers``."""
        return key.public + key.sign(self._message(key.public, answers))

    def check(self, proof: bytes, answers: bytes | None = None) -> bytes:
        """Return the device key that ``proof`` proves.

        Raises:
            DeviceProofError: it proves nothing in this handshake.
        """
        device, signature = proof[:PUBLIC_KEY_BYTES], proof[PUBLIC_KEY_BYTES:]
        if not is_signature(device, self._message(device, answers), signature):
            raise DeviceProofError("The other device did not prove who it is.")
        return device
