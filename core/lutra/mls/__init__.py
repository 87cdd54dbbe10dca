"""Messaging Layer Security, RFC 9420.

`Group` is one member's view of one epoch, `PublicGroup` an observer's; both never change.
"""

from lutra.mls.committing import CommitOptions
from lutra.mls.group import Group, Received
from lutra.mls.joining import ExternalJoin
from lutra.mls.key_package import KeyPackage, KeyPackageBundle, create_key_package
from lutra.mls.leaf import (
    Capabilities,
    Credential,
    Extension,
    LeafContent,
    LeafNode,
    Lifetime,
    RequiredCapabilities,
)
from lutra.mls.messages import decode_message, encode_message
from lutra.mls.outsiders import propose_as_external_sender, propose_oneself
from lutra.mls.proposals import (
    Add,
    CustomProposal,
    GroupContextExtensions,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from lutra.mls.public_group import PublicGroup
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.results import (
    ReceivedApplication,
    ReceivedCommit,
    ReceivedProposal,
    SentMessage,
    StagedCommit,
)
from lutra.mls.services import Policy, PskStore, Services
from lutra.mls.suites import HYBRID_SUITE, SUITES, suite_for

__all__ = [
    "HYBRID_SUITE",
    "SUITES",
    "Add",
    "Capabilities",
    "CommitOptions",
    "Credential",
    "CustomProposal",
    "Extension",
    "ExternalJoin",
    "Group",
    "GroupContextExtensions",
    "KeyPackage",
    "KeyPackageBundle",
    "LeafContent",
    "LeafNode",
    "Lifetime",
    "Policy",
    "PreSharedKey",
    "PreSharedKeyId",
    "Proposal",
    "PskStore",
    "PublicGroup",
    "RatchetTree",
    "ReInit",
    "Received",
    "ReceivedApplication",
    "ReceivedCommit",
    "ReceivedProposal",
    "Remove",
    "RequiredCapabilities",
    "SentMessage",
    "Services",
    "StagedCommit",
    "Update",
    "create_key_package",
    "decode_message",
    "encode_message",
    "propose_as_external_sender",
    "propose_oneself",
    "suite_for",
]
