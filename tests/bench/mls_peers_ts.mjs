// The ts-mls side of the MLS bench: node mls_peers_ts.mjs SUITE MEMBERS [REPEATS]
//
// Prints one JSON object. Times are milliseconds, elapsed and of the processor, each the best of REPEATS runs of the same
// operation from the same state; key packages are made before the clock starts. The founder adds
// all others in one commit, updates itself right after (every parent node is still blank), another
// member processes that, then one member is added and one removed, and 1,000 messages of
// 300 bytes go from the founder to that other member.

import { readFileSync } from "node:fs";

const packages = new URL("../interop/node_modules/", import.meta.url);
const mls = await import(new URL("ts-mls/dist/src/index.js", packages));
const { version } = JSON.parse(readFileSync(new URL("ts-mls/package.json", packages)));

const [suite, members, repeats] = [process.argv[2], process.argv[3], process.argv[4] ?? 3].map(
  Number,
);
const MESSAGES = 1000;
const MESSAGE_BYTES = 300;

const name = Object.entries(mls.ciphersuites).find(([, number]) => number === suite)[0];
const impl = await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(name));
const capabilities = { ...mls.defaultCapabilities(), ciphersuites: [name] };

async function keys(label) {
  return mls.generateKeyPackage(
    { credentialType: "basic", identity: new TextEncoder().encode(label) },
    capabilities,
    mls.defaultLifetime,
    [],
    impl,
  );
}

const times = {};
const cpuTimes = {};
const spent = (since) => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};
const rounded = (value) => Math.round(value * 1000) / 1000;

async function timed(row, run, again = repeats) {
  let result;
  let best = Infinity;
  let bestCpu = Infinity;
  for (let round = 0; round < again; round++) {
    const startCpu = process.cpuUsage();
    const start = performance.now();
    result = await run();
    best = Math.min(best, performance.now() - start);
    bestCpu = Math.min(bestCpu, spent(startCpu));
  }
  times[row] = rounded(best);
  cpuTimes[row] = rounded(bestCpu);
  return result;
}

const adding = ({ publicPackage }) => ({ proposalType: "add", add: { keyPackage: publicPackage } });

// States are values, but what a step consumed is overwritten with zeros where a caller asks for
// that; nothing is, so that every step can be repeated from the same state.
function commit(state, extraProposals = []) {
  return mls.createCommit(
    { state, cipherSuite: impl },
    { extraProposals, wireAsPublicMessage: true, ratchetTreeExtension: true },
  );
}

const process_ = (state, message) =>
  mls.processPublicMessage(state, message.publicMessage, mls.emptyPskIndex, impl);

const founderKeys = await keys("founder");
const others = [];
for (let index = 1; index < members; index++) others.push(await keys(`member ${index}`));
const newcomer = await keys("newcomer");

const fresh = () =>
  mls.createGroup(
    new TextEncoder().encode("bench"),
    founderKeys.publicPackage,
    founderKeys.privatePackage,
    [],
    impl,
  );

const created = await timed("create", async () => commit(await fresh(), others.map(adding)), 1);
const receiverKeys = others[Math.floor(others.length / 2)];
let receiver = await timed(
  "join",
  () =>
    mls.joinGroup(
      created.welcome,
      receiverKeys.publicPackage,
      receiverKeys.privatePackage,
      mls.emptyPskIndex,
      impl,
    ),
  1,
);
let founder = created.newState;

const updated = await timed("self_update", () => commit(founder));
receiver = (await timed("process_update", () => process_(receiver, updated.commit))).newState;
founder = updated.newState;

const added = await timed("add_one", () => commit(founder, [adding(newcomer)]));
receiver = (await timed("process_add", () => process_(receiver, added.commit))).newState;
founder = added.newState;

const removed = await timed("remove_one", () =>
  commit(founder, [{ proposalType: "remove", remove: { removed: members } }]),
);
receiver = (await timed("process_remove", () => process_(receiver, removed.commit))).newState;
founder = removed.newState;

const plaintext = new Uint8Array(MESSAGE_BYTES).fill(0x61);
const sealed = await timed("encrypt_1000", async () => {
  const messages = [];
  let state = founder;
  for (let index = 0; index < MESSAGES; index++) {
    const result = await mls.createApplicationMessage(state, plaintext, impl);
    state = result.newState;
    messages.push(result.privateMessage);
  }
  return messages;
});
await timed("decrypt_1000", async () => {
  let state = receiver;
  for (const message of sealed) {
    const result = await mls.processPrivateMessage(state, message, mls.emptyPskIndex, impl);
    if (result.message.length !== MESSAGE_BYTES) throw new Error("not the message sent");
    state = result.newState;
  }
});

const size = (content) => mls.encodeMlsMessage({ version: "mls10", ...content }).length;
console.log(
  JSON.stringify({
    implementation: "ts-mls",
    version,
    suite,
    members,
    ms: times,
    cpu_ms: cpuTimes,
    bytes: {
      state: mls.encodeGroupState(founder).length,
      create_commit: mls.encodeMlsMessage(created.commit).length,
      welcome: size({ wireformat: "mls_welcome", welcome: created.welcome }),
      update_commit: mls.encodeMlsMessage(updated.commit).length,
      message: size({ wireformat: "mls_private_message", privateMessage: sealed[0] }),
    },
  }),
);
