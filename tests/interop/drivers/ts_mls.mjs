// The ts-mls implementation behind the line protocol of lines.mjs.

import { p256, p384, p521 } from "@noble/curves/nist.js";
import { readFileSync } from "node:fs";
import {
  acceptAll,
  branchGroup,
  ciphersuites,
  createApplicationMessage,
  createCommit,
  createGroup,
  createProposal,
  decodeMlsMessage,
  defaultCapabilities,
  encodeMlsMessage,
  encodeRequiredCapabilities,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  joinGroupFromBranch,
  joinGroupFromReinit,
  makePskIndex,
  mlsExporter,
  processPrivateMessage,
  processPublicMessage,
  proposeAddExternal,
  reinitCreateNewGroup,
  reinitGroup,
} from "ts-mls";
import { createGroupInfoWithRatchetTree } from "ts-mls/createCommit.js";
import { encodeRatchetTree } from "ts-mls/ratchetTree.js";
import { base64, bytes, serve, Unsupported } from "./lines.mjs";

const SUITES = [1, 2, 3, 4, 5, 6, 7];
const DAY = 24n * 60n * 60n;
const { version } = JSON.parse(
  readFileSync(new URL("../node_modules/ts-mls/package.json", import.meta.url)),
);
const names = new Map(Object.entries(ciphersuites).map(([name, number]) => [number, name]));
const clients = new Map();

const suiteOf = (number) => getCiphersuiteImpl(getCiphersuiteFromName(names.get(number)));
const envelope = (content) => base64(encodeMlsMessage({ version: "mls10", ...content }));

function open(text, wireformat) {
  const data = bytes(text);
  const decoded = decodeMlsMessage(data, 0);
  if (decoded === undefined) throw new Error("not an MLS message");
  const [message, length] = decoded;
  if (length !== data.length) throw new Error(`${data.length - length} bytes after the message`);
  if (wireformat !== undefined && message.wireformat !== wireformat)
    throw new Error(`${message.wireformat} where ${wireformat} was expected`);
  return message;
}

function member(name) {
  const found = clients.get(name);
  if (found === undefined) throw new Error(`no client ${name}`);
  return found;
}

function leaves(state) {
  const found = [];
  for (let node = 0; node < state.ratchetTree.length; node += 2) {
    const leaf = state.ratchetTree[node]?.leaf;
    if (leaf) found.push({ leaf: node / 2, identity: base64(leaf.credential.identity) });
  }
  return found;
}

function leafOf(state, identity) {
  const found = leaves(state).find((entry) => entry.identity === identity);
  if (found === undefined) throw new Error("no member of that identity");
  return found.leaf;
}

// ts-mls takes the data of the external_pub extension for the key itself; RFC 9420 section
// 12.4.3.2 has the key as a vector there. These two put the vector's header in and out.
function asVector(key) {
  const header = key.length < 64 ? [key.length] : [0x40 | (key.length >> 8), key.length & 0xff];
  return new Uint8Array([...header, ...key]);
}

function withBareExternalPub(groupInfo) {
  const found = groupInfo.extensions.find((entry) => entry.extensionType === "external_pub");
  if (found === undefined) return groupInfo;
  const bare = {
    ...found,
    extensionData: found.extensionData.subarray(found.extensionData[0] < 64 ? 1 : 2),
  };
  const extensions = [...groupInfo.extensions];
  // Only the look-up sees the bare key: the signature covers the extensions as they came.
  extensions.find = (test) => (test(bare) ? bare : Array.prototype.find.call(extensions, test));
  return { ...groupInfo, extensions };
}

const psks = (me) => makePskIndex(me.state, me.psks);

/** ts-mls's own default never ends, which others refuse. */
function lifetime() {
  const now = BigInt(Math.floor(Date.now() / 1000));
  return { notBefore: now - DAY, notAfter: now + 28n * DAY };
}

// ts-mls makes ECDSA keys with compressed public points; RFC 9420 section 5.1.1 has them
// uncompressed.
const CURVES = { 2: p256, 5: p521, 7: p384 };

async function signatureKeys(suite) {
  const pair = await suite.signature.keygen();
  const curve = CURVES[ciphersuites[suite.name]];
  return curve ? { ...pair, publicKey: curve.getPublicKey(pair.signKey, false) } : pair;
}

async function freshKeys(me, suite = me.suite) {
  return generateKeyPackageWithKey(
    { credentialType: "basic", identity: me.identity },
    // With GREASE and post-quantum suites unknown to everybody else.
    defaultCapabilities(),
    lifetime(),
    [],
    await signatureKeys(suite),
    suite,
  );
}

/** A change of the group's extensions: members have to support these types of credential. */
function requirement(credentialTypes) {
  const extensionData = encodeRequiredCapabilities({
    extensionTypes: [],
    proposalTypes: [],
    credentialTypes,
  });
  const extensions = [{ extensionType: "required_capabilities", extensionData }];
  return {
    proposalType: "group_context_extensions",
    groupContextExtensions: { extensions },
  };
}

/** Enter the group that continues the present one; its Welcome needs the tree beside it. */
function continued(me, { newState, welcome }) {
  me.state = newState;
  return {
    welcome: envelope({ wireformat: "mls_welcome", welcome }),
    tree: base64(encodeRatchetTree(newState.ratchetTree)),
  };
}

function proposalOf(me, { kind, key_package, identity, psk_id }) {
  switch (kind) {
    case "add":
      return {
        proposalType: "add",
        add: { keyPackage: open(key_package, "mls_key_package").keyPackage },
      };
    case "remove":
      return { proposalType: "remove", remove: { removed: leafOf(me.state, identity) } };
    case "psk":
      return {
        proposalType: "psk",
        psk: {
          preSharedKeyId: {
            psktype: "external",
            pskId: bytes(psk_id),
            pskNonce: me.suite.rng.randomBytes(me.suite.kdf.size),
          },
        },
      };
    default:
      throw new Unsupported(`${kind} proposals are outside ts-mls's public API`);
  }
}

await serve({
  hello: () => ({
    implementation: "ts-mls",
    version,
    suites: SUITES,
    // "notice-replacement": a member whose leaf is taken by somebody else in the very commit that
    // removes it gets an error. "unmerged-leaves": a joiner refuses trees where two nodes above
    // an unmerged leaf do not list exactly the same leaves (RFC 9420 section 12.4.3.1 asks only
    // that each lists this one). "blank-half": where the other half of the tree is blank, the
    // commit secret is derived one step further than from the last path secret of the UpdatePath
    // (section 12.4.1); OpenMLS agrees with the RFC, see test_a_blank_half. "extensions-with-path":
    // its commits of new group extensions lack the path that section 17.4 requires.
    cannot: [
      "update-proposal",
      "notice-replacement",
      "unmerged-leaves",
      "blank-half",
      "extensions-with-path",
    ],
  }),

  client: async ({ client, suite, identity }) => {
    const impl = await suiteOf(suite);
    clients.set(client, { suite: impl, identity: bytes(identity), psks: {}, keys: [] });
  },

  key_package: async ({ client, suite }) => {
    const me = member(client);
    const keys = await freshKeys(me, suite && (await suiteOf(suite)));
    me.keys.push(keys);
    return {
      key_package: envelope({ wireformat: "mls_key_package", keyPackage: keys.publicPackage }),
    };
  },

  psk: ({ client, psk_id, psk }) => {
    member(client).psks[psk_id] = bytes(psk);
  },

  create: async ({ client, group_id }) => {
    const me = member(client);
    const { publicPackage, privatePackage } = await freshKeys(me);
    me.state = await createGroup(bytes(group_id), publicPackage, privatePackage, [], me.suite);
  },

  propose: async ({ client, public: open_ = false, ...proposal }) => {
    const me = member(client);
    const result = await createProposal(me.state, open_, proposalOf(me, proposal), me.suite);
    me.state = result.newState;
    return { message: base64(encodeMlsMessage(result.message)) };
  },

  commit: async ({ client, add = [], remove = [], psk = [], requires, public: open_ = false }) => {
    const me = member(client);
    const extraProposals = [
      ...(requires ? [requirement(requires)] : []),
      ...remove.map((identity) => proposalOf(me, { kind: "remove", identity })),
      ...add.map((key_package) => proposalOf(me, { kind: "add", key_package })),
      ...psk.map((psk_id) => proposalOf(me, { kind: "psk", psk_id })),
    ];
    const result = await createCommit(
      { state: me.state, cipherSuite: me.suite, pskIndex: psks(me) },
      { wireAsPublicMessage: open_, ratchetTreeExtension: true, extraProposals },
    );
    me.state = result.newState;
    return {
      message: base64(encodeMlsMessage(result.commit)),
      welcome: result.welcome
        ? envelope({ wireformat: "mls_welcome", welcome: result.welcome })
        : null,
    };
  },

  process: async ({ client, message }) => {
    const me = member(client);
    const content = open(message);
    if (content.wireformat === "mls_private_message") {
      const result = await processPrivateMessage(
        me.state,
        content.privateMessage,
        psks(me),
        me.suite,
        acceptAll,
  branchGroup,
      );
      me.state = result.newState;
      if (result.kind === "applicationMessage")
        return { kind: "application", data: base64(result.message) };
    } else if (content.wireformat === "mls_public_message") {
      const result = await processPublicMessage(
        me.state,
        content.publicMessage,
        psks(me),
        me.suite,
        acceptAll,
  branchGroup,
      );
      me.state = result.newState;
    } else throw new Error(`cannot process a ${content.wireformat}`);
    return { kind: "handshake", active: me.state.groupActiveState.kind === "active" };
  },

  join: async ({ client, welcome }) => {
    const me = member(client);
    const { welcome: content } = open(welcome, "mls_welcome");
    let failure = new Error("no key package was made");
    // Every key package is tried: ts-mls leaves the choice to its caller.
    for (const [index, { publicPackage, privatePackage }] of me.keys.entries()) {
      try {
        me.state = await joinGroup(content, publicPackage, privatePackage, psks(me), me.suite);
      } catch (error) {
        failure = error;
        continue;
      }
      me.keys.splice(index, 1);
      return {};
    }
    throw failure;
  },

  external_join: async ({ client, group_info, resync = false }) => {
    const me = member(client);
    const { groupInfo } = open(group_info, "mls_group_info");
    let keys;
    if (resync) {
      // ts-mls finds the former leaf by its signature key, so that one has to stay.
      const own = me.state.ratchetTree[2 * me.state.privatePath.leafIndex].leaf;
      keys = await generateKeyPackageWithKey(
        own.credential,
        own.capabilities,
        lifetime(),
        [],
        { signKey: me.state.signaturePrivateKey, publicKey: own.signaturePublicKey },
        me.suite,
      );
    } else keys = await freshKeys(me);
    const result = await joinGroupExternal(
      withBareExternalPub(groupInfo),
      keys.publicPackage,
      keys.privatePackage,
      resync,
      me.suite,
    );
    me.state = result.newState;
    return {
      message: envelope({
        wireformat: "mls_public_message",
        publicMessage: result.publicMessage,
      }),
    };
  },

  branch: async ({ client, group_id, key_packages }) => {
    const me = member(client);
    const { publicPackage, privatePackage } = await freshKeys(me);
    const offers = key_packages.map((text) => open(text, "mls_key_package").keyPackage);
    const result = await branchGroup(
      me.state,
      publicPackage,
      privatePackage,
      offers,
      bytes(group_id),
      me.suite,
    );
    return continued(me, result);
  },

  propose_self: async ({ client, group_info }) => {
    const me = member(client);
    const { groupInfo } = open(group_info, "mls_group_info");
    const keys = await freshKeys(me);
    me.keys.push(keys);
    const { publicPackage, privatePackage } = keys;
    const message = await proposeAddExternal(groupInfo, publicPackage, privatePackage, me.suite);
    return { message: base64(encodeMlsMessage(message)) };
  },

  reinit: async ({ client, group_id, suite }) => {
    const me = member(client);
    const result = await reinitGroup(
      me.state,
      bytes(group_id),
      "mls10",
      names.get(suite),
      [],
      me.suite,
    );
    me.state = result.newState;
    return { message: base64(encodeMlsMessage(result.commit)) };
  },

  reinitialise: async ({ client, key_packages }) => {
    const me = member(client);
    const { groupId, cipherSuite, extensions } = me.state.groupActiveState.reinit;
    me.suite = await suiteOf(ciphersuites[cipherSuite]);
    const { publicPackage, privatePackage } = await freshKeys(me);
    const offers = key_packages.map((text) => open(text, "mls_key_package").keyPackage);
    const result = await reinitCreateNewGroup(
      me.state,
      publicPackage,
      privatePackage,
      offers,
      groupId,
      cipherSuite,
      extensions,
    );
    return continued(me, result);
  },

  join_continued: async ({ client, welcome }) => {
    const me = member(client);
    const { welcome: content } = open(welcome, "mls_welcome");
    const { publicPackage, privatePackage } = me.keys.pop();
    const reinit = me.state.groupActiveState.kind === "suspendedPendingReinit";
    me.suite = await suiteOf(ciphersuites[publicPackage.cipherSuite]);
    me.state = reinit
      ? await joinGroupFromReinit(me.state, content, publicPackage, privatePackage, undefined)
      : await joinGroupFromBranch(
          me.state,
          content,
          publicPackage,
          privatePackage,
          undefined,
          me.suite,
        );
  },

  group_info: async ({ client }) => {
    const { state, suite } = member(client);
    const { publicKey } = await suite.hpke.deriveKeyPair(state.keySchedule.externalSecret);
    const extensionData = asVector(await suite.hpke.exportPublicKey(publicKey));
    const groupInfo = await createGroupInfoWithRatchetTree(
      state.groupContext,
      state.confirmationTag,
      state,
      state.ratchetTree,
      [{ extensionType: "external_pub", extensionData }],
      suite,
    );
    return { group_info: envelope({ wireformat: "mls_group_info", groupInfo }) };
  },

  state: async ({ client, label, context, length }) => {
    const { state, suite } = member(client);
    const { exporterSecret, epochAuthenticator } = state.keySchedule;
    return {
      epoch: Number(state.groupContext.epoch),
      members: leaves(state),
      tree_hash: base64(state.groupContext.treeHash),
      epoch_authenticator: base64(epochAuthenticator),
      exporter: base64(await mlsExporter(exporterSecret, label, bytes(context), length, suite)),
    };
  },

  encrypt: async ({ client, data }) => {
    const me = member(client);
    const result = await createApplicationMessage(me.state, bytes(data), me.suite);
    me.state = result.newState;
    return {
      message: envelope({
        wireformat: "mls_private_message",
        privateMessage: result.privateMessage,
      }),
    };
  },
});
