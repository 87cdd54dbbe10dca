"""Vectors of encodings: whatever decodes must encode to the same bytes."""

from __future__ import annotations

from lutra.mls.codec import decode_whole, u16
from lutra.mls.framing import ContentType, PublicMessage
from lutra.mls.key_package import KeyPackage
from lutra.mls.messages import (
    GroupInfo,
    GroupSecrets,
    Message,
    Welcome,
    decode_message,
    encode_message,
)
from lutra.mls.private_message import PrivateMessage
from lutra.mls.proposals import (
    Add,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    ReInit,
    Remove,
    Update,
    decode_proposal,
    encode_proposal,
)
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.suites import suite_for
from lutra.mls.vectors.reading import Case, expect

_MESSAGES: dict[str, type[Message]] = {
    "mls_welcome": Welcome,
    "mls_group_info": GroupInfo,
    "mls_key_package": KeyPackage,
    "private_message": PrivateMessage,
}
_PUBLIC_MESSAGES = {
    "public_message_application": ContentType.APPLICATION,
    "public_message_proposal": ContentType.PROPOSAL,
    "public_message_commit": ContentType.COMMIT,
}
_PROPOSALS = {
    "add_proposal": Add,
    "update_proposal": Update,
    "remove_proposal": Remove,
    "pre_shared_key_proposal": PreSharedKey,
    "re_init_proposal": ReInit,
    "external_init_proposal": ExternalInit,
    "group_context_extensions_proposal": GroupContextExtensions,
}


def check_messages(case: Case) -> None:
    """Every structure of one case, decoded and encoded again."""
    for name, kind in _MESSAGES.items():
        message = decode_message(case.data(name))
        expect(isinstance(message, kind), f"type of {name}")
        expect(encode_message(message) == case.data(name), name)
    for name, content_type in _PUBLIC_MESSAGES.items():
        message = decode_message(case.data(name))
        expect(isinstance(message, PublicMessage), f"type of {name}")
        if isinstance(message, PublicMessage):
            expect(message.content.content_type is content_type, f"content of {name}")
        expect(encode_message(message) == case.data(name), name)
    for name, kind in _PROPOSALS.items():
        encoded = u16(kind.proposal_type) + case.data(name)
        proposal = decode_whole(decode_proposal, encoded)
        expect(isinstance(proposal, kind), f"type of {name}")
        expect(encode_proposal(proposal) == encoded, name)
    tree = RatchetTree.decode(suite_for(1), case.data("ratchet_tree"))
    expect(tree.encode() == case.data("ratchet_tree"), "ratchet_tree")
    secrets = decode_whole(GroupSecrets.decode, case.data("group_secrets"))
    expect(secrets.encode() == case.data("group_secrets"), "group_secrets")
    commit = decode_whole(Commit.decode, case.data("commit"))
    expect(Commit(commit.proposals, commit.path).encode() == case.data("commit"), "commit")
