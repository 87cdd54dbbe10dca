// JSON lines on standard input and output: {"id", "op", ...} -> {"id", "ok"} or {"id", "error"}.
// Byte strings are base64. Requests are answered one after the other, in order.

import { createInterface } from "node:readline";

export const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
export const base64 = (data) => Buffer.from(data).toString("base64");

/** A limit of the implementation itself, not a failure of the request. */
export class Unsupported extends Error {
  constructor(what) {
    super(what);
    this.name = "Unsupported";
  }
}

/** Serve the operations of the table until the input ends. */
export async function serve(operations) {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const { id, op, ...args } = JSON.parse(line);
    let answer;
    try {
      if (!Object.hasOwn(operations, op)) throw new Unsupported(`no operation ${op}`);
      answer = { id, ok: (await operations[op](args)) ?? {} };
    } catch (error) {
      answer = { id, error: { type: error?.name ?? "Error", message: describe(error) } };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}

function describe(error) {
  const inner = error?.inner ? ` ${JSON.stringify(error.inner, plain)}` : "";
  return `${error?.message ?? error}${inner}`;
}

function plain(_key, value) {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) return { tag: value.tag, inner: value.inner, message: value.message };
  return value;
}
