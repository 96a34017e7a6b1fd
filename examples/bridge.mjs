// Books from Node through a pipe: one process of meterctl answers each line as soon as it is booked.
//
//   METERCTL_STORE=mongodb://db/credits node bridge.mjs

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export function connect(command = "meterctl") {
  const child = spawn(command, ["backfill", "-", "--results", "-", "--line-buffered", "--json", "--yes"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift().resolve(JSON.parse(line)));
  // Operations without an answer when the process ends may be booked or not: connect again and repeat them unchanged.
  const ended = new Promise((resolve) => child.on("close", resolve));
  ended.then((code) => waiting.splice(0).forEach(({ reject }) => reject(new Error(`meterctl ended with ${code}`))));
  return {
    book: (operation) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        child.stdin.write(JSON.stringify(operation) + "\n");
      }),
    close: () => (child.stdin.end(), ended),
  };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const meter = connect(process.env.METERCTL);
  console.log((await meter.book({ op: "adjust", org: "acme", units: 100, ref: "a1", reason: "a gift" })).balance);
  console.log((await meter.book({ op: "debit", org: "acme", units: 30, ref: "r1" })).balance);
  console.log((await meter.book({ op: "debit", org: "acme", units: 500, ref: "r2" })).reason);
  console.log((await meter.book({ op: "debit", org: "acme", units: 30, ref: "r1" })).status);
  console.log(await meter.close());
}
