// store.cjs -- the PLC directory's operations in one SQLite file, so that DIDs outlive a restart.
//
// It answers the same calls as the server's own PostgreSQL database, with the same rules: an operation is
// checked against the log, what it nullifies is marked, and inside one transaction its `prev` must be the
// latest operation that stands, or it is refused with 409. SQLite comes with Node: nothing to compile.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { cidForCbor } = require("@atproto/common");
const plc = require("@did-plc/lib");
const { CID } = require("multiformats/cid");

const SCHEMA = `
  pragma journal_mode = wal;
  pragma synchronous = full;
  pragma busy_timeout = 5000;
  create table if not exists operations (
    seq integer primary key autoincrement,
    did text not null,
    cid text not null,
    operation text not null,
    nullified integer not null,
    createdAt integer not null, -- milliseconds; grows with seq, so that an export can be continued
    unique (did, cid)
  ) strict;
  create index if not exists operations_created_at on operations (createdAt);
`;

// Node 22 announces its SQLite as experimental at every start; the version of Node is pinned.
function openSqlite(file) {
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  const { DatabaseSync } = require("node:sqlite");
  process.emitWarning = emitWarning;
  return new DatabaseSync(file);
}

// The server answers an error that has a status with that status and the message.
function conflict(message) {
  return Object.assign(new Error(message), { status: 409 });
}

function fromRow(row) {
  return {
    did: row.did,
    operation: JSON.parse(row.operation),
    cid: CID.parse(row.cid),
    nullified: row.nullified === 1,
    createdAt: new Date(row.createdAt),
  };
}

class Store {
  constructor(folder) {
    fs.mkdirSync(folder, { recursive: true, mode: 0o750 });
    this.db = openSqlite(path.join(folder, "plc.sqlite"));
    this.db.exec(SCHEMA);
    this.prepare();
  }

  prepare() {
    const order = "order by seq";
    const standing = "did = ? and nullified = 0";
    const sql = (text) => this.db.prepare(text);
    this.all = sql(`select * from operations where did = ? ${order}`);
    this.standing = sql(`select * from operations where ${standing} ${order}`);
    this.latest = sql(`select * from operations where ${standing} ${order} desc limit 1`);
    this.export = sql(`select * from operations where createdAt > ? ${order} limit ?`);
    this.last = sql("select max(createdAt) as at from operations");
    this.nullify = sql("update operations set nullified = 1 where did = ? and cid = ?");
    this.insert = sql(
      "insert into operations (did, cid, operation, nullified, createdAt) values (?, ?, ?, 0, ?)",
    );
  }

  async close() {
    this.db.close();
  }

  async healthCheck() {
    this.db.prepare("select 1").get();
  }

  async validateAndAddOp(did, proposed) {
    const known = await this.indexedOpsForDid(did);
    const { nullified, prev } = await plc.assureValidNextOp(did, known, proposed);
    const cid = await cidForCbor(proposed);
    this.transaction(() => this.add(did, proposed, cid, nullified, prev));
  }

  // Checking an operation waits, so another one may have been added since: look again before adding.
  add(did, proposed, cid, nullified, prev) {
    for (const gone of nullified) this.nullify.run(did, gone.toString());
    const latest = this.latest.get(did);
    if ((latest?.cid ?? null) !== (prev?.toString() ?? null))
      throw conflict("Proposed prev does not match the most recent operation");
    const at = Math.max(Date.now(), (this.last.get().at ?? 0) + 1);
    this.insert.run(did, cid.toString(), JSON.stringify(proposed), at);
  }

  transaction(change) {
    this.db.exec("begin immediate");
    try {
      change();
      this.db.exec("commit");
    } catch (error) {
      this.db.exec("rollback");
      throw error;
    }
  }

  async opsForDid(did) {
    return (await this.indexedOpsForDid(did)).map((entry) => entry.operation);
  }

  async indexedOpsForDid(did, includeNullified = false) {
    return (includeNullified ? this.all : this.standing).all(did).map(fromRow);
  }

  async lastOpForDid(did) {
    const row = this.latest.get(did);
    return row ? JSON.parse(row.operation) : null;
  }

  async exportOps(count, after) {
    return this.export.all(after?.getTime() ?? -1, count).map((row) => {
      const entry = fromRow(row);
      return { ...entry, cid: row.cid, createdAt: entry.createdAt.toISOString() };
    });
  }
}

exports.Store = Store;
