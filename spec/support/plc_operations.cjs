// plc_operations.cjs -- prints a DID's signed operations as JSON, as a client of a PLC directory makes them:
// its creation, two updates that both name it as `prev`, and one by the stronger key that undoes an update.
"use strict";
const { Secp256k1Keypair } = require("@atproto/crypto");
const plc = require("@did-plc/lib");

const handle = (name) => (operation) => ({ ...operation, alsoKnownAs: [`at://${name}.test`] });

async function main() {
  const strong = await Secp256k1Keypair.create();
  const weak = await Secp256k1Keypair.create();
  const { op, did } = await plc.createOp({
    signingKey: weak.did(),
    handle: "first.test",
    pds: "http://127.0.0.1:1",
    rotationKeys: [strong.did(), weak.did()],
    signer: weak,
  });
  const operations = {
    did,
    create: op,
    second: await plc.createUpdateOp(op, weak, handle("second")),
    rival: await plc.createUpdateOp(op, weak, handle("rival")),
    recovery: await plc.createUpdateOp(op, strong, handle("recovered")),
  };
  console.log(JSON.stringify(operations));
}

main();
