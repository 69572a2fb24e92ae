// plc.cjs -- runs the reference PLC directory. PORT; BIND_HOST is where it listens.
// Operations are kept in PostgreSQL (DATABASE_URL) or in a file in PLC_DATA_DIRECTORY.
"use strict";
const { need, run } = require("./launcher.cjs");
const { Database, PlcServer } = require("@did-plc/server");

async function openDatabase() {
  if (process.env.DATABASE_URL) {
    const database = Database.postgres({ url: process.env.DATABASE_URL });
    await database.migrateToLatestOrThrow();
    return database;
  }
  const { Store } = require("./store.cjs");
  return new Store(need("PLC_DATA_DIRECTORY"));
}

run("plc", async () => {
  const db = await openDatabase();
  const version = require("./package.json").dependencies["@did-plc/server"];
  const plc = PlcServer.create({ db, port: Number(need("PORT")), version });
  await plc.start();
  return () => plc.destroy();
});
