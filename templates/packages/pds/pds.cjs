// pds.cjs -- runs the official PDS. Configured by PDS_* variables; BIND_HOST is where it listens.
"use strict";
const fs = require("node:fs");
const { need, run } = require("./launcher.cjs");

// Its databases are opened in folders that it does not make.
function makeFolders() {
  fs.mkdirSync(need("PDS_DATA_DIRECTORY"), { recursive: true, mode: 0o750 });
  const blobs = process.env.PDS_BLOBSTORE_DISK_LOCATION;
  if (blobs) fs.mkdirSync(blobs, { recursive: true, mode: 0o750 });
}

run("pds", async () => {
  makeFolders();
  process.env.PDS_VERSION ??= require("./package.json").dependencies["@atproto/pds"];
  const { PDS, envToCfg, envToSecrets, readEnv } = await import("@atproto/pds");
  const env = readEnv();
  const pds = await PDS.create(envToCfg(env), envToSecrets(env));
  await pds.start();
  return () => pds.destroy();
});
