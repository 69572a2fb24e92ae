--- The etcd backend against real servers of both versions: what each verb does and leaves in etcd.
local support = require "support"
local core = require "orrery.core"
local etcd = require "support.etcd"

local json, task, time = core.json, core.task, core.time
local fails, record = support.fails, support.record

local PREFIX = "/atproto/services/"

local function ids(found) return table.concat(support.ids(found), " ") end

--- The lease that a key hangs on, nil if it is not there.
local function lease_of(cluster, key)
  local kvs = assert(cluster:call("kv/range", { key = key })).kvs
  return kvs and (kvs[1].lease or "none")
end

--- Waits in a task of its own: call join() on the result for what lookup() gave and when.
local function watch(backend, service, cursor, timeout)
  return task.spawn(function()
    local records, next_cursor, code = backend:lookup(service, cursor, timeout)
    return { records = records, cursor = next_cursor, code = code, at = time.monotonic() }
  end)
end

--- Waits until etcd has so many leases: those that are given up end a little later.
local function reach_leases(cluster, count)
  support.wait_until(function()
    return #(assert(cluster:call("lease/leases", {})).leases or {}) == count
  end, 10, count .. " leases")
end

local function each_version(define)
  for _, version in ipairs(etcd.VERSIONS) do
    local program, reason = etcd.program(version)
    describe("etcd 3." .. version:sub(2), function()
      local function test(name, fn, options)
        it(name, function()
          if not program then return pending(reason) end
          options = options or {}
          options.version = version
          local cluster = etcd.start(options)
          finally(function() cluster:stop() end)
          fn(cluster)
        end)
      end
      define(test)
    end)
  end
end

each_version(function(test)
  test("holds records where etcdctl finds them", function(cluster)
    local backend <close> = cluster:open()
    assert.same({ watch = true, lock = true, kv = true }, backend.capabilities)
    local full = record { scheme = "http", did = "did:web:x.test", tags = { "a", "b" },
      meta = { ["weird key"] = "päth / \"quoted\" \n" } }
    assert(backend:register(full, 30))
    assert(backend:register(record { service = "pds-2", id = "x:1" }))

    local found = assert(backend:lookup("pds"))[1]
    assert.equal("pds@edge", found.id)
    assert.equal("etcd", found.source)
    assert.same({ full.scheme, full.did, full.tags, full.meta, full.port },
      { found.scheme, found.did, found.tags, found.meta, found.port })
    assert.same({ "pds", "pds-2" }, backend:services())
    assert.equal("", ids(backend:lookup("pds-")))

    local keys = cluster:ctl("get", "--prefix", "--keys-only", "/atproto")
    assert.equal(PREFIX .. "pds-2/x:1\n\n" .. PREFIX .. "pds/pds@edge", (keys:gsub("\n$", "")))
    local stored = json.decode((cluster:ctl("get", "--print-value-only", PREFIX .. "pds/pds@edge")))
    assert.same({ found.address, found.port, found.meta },
      { stored.address, stored.port, stored.meta })
    assert.is_nil(stored.source)
    assert.is_truthy(cluster:ctl("get", "-w", "fields", PREFIX .. "pds/pds@edge")
      :find('"ModRevision" : ' .. found.revision, 1, true))

    assert(backend:deregister("pds", "pds@edge"))
    assert(backend:deregister("pds", "pds@edge"))
    assert.equal("", ids(backend:lookup("pds")))
    assert.same({ "pds-2" }, backend:services())
    reach_leases(cluster, 0)
  end)

  test("reads what people write, and one broken record hides no other", function(cluster)
    local backend <close> = cluster:open({ etcdKeyPrefix = "/my/things/" })
    cluster:put("/my/things/pds/b", '{"address": "10.0.0.2", "port": 80, "id": "other"}')
    cluster:put("/my/things/pds/broken", '{"address": ')
    cluster:put("/my/things/pds/none", "")
    cluster:put("/my/things/pds/bad port", '{"address": "10.0.0.3", "port": 80}')
    cluster:put("/my/things/pds/z/y", '{"address": "10.0.0.3", "port": 80}')
    cluster:put("/my/things/stray", "x")
    cluster:put("/my/thingsx/pds/c", '{"address": "10.0.0.4"}')
    local log = support.tmp() .. "/log"
    assert(core.log.set_file(log))
    local records = assert(backend:lookup("pds"))
    backend:lookup("pds")
    core.log.set_file()
    assert.equal("b", ids(records))
    assert.equal("10.0.0.2", records[1].address)
    assert.same({ "pds" }, backend:services())
    local _, times = support.read(log):gsub("/my/things/pds/broken is no record", "")
    assert.equal(1, times)

    cluster:put("/my/things/all/broken", "[]")
    fails("bad_reply", "none of the keys below /my/things/all/ .*all/broken",
      backend:lookup("all"))
  end)

  test("keeps a record for its ttl, and no longer", function(cluster)
    local backend <close> = cluster:open()
    local other <close> = cluster:open()
    assert(backend:register(record { id = "stays" }))
    assert(backend:register(record { id = "renewed" }, 5))
    assert(backend:register(record(), 4))    -- also a busy machine looks it up before that
    local records, cursor = assert(backend:lookup("pds"))
    assert.equal("pds@edge renewed stays", ids(records))
    local began, lapse = time.monotonic(), watch(backend, "pds", cursor, 40)
    while time.monotonic() - began < 7 do    -- longer than its ttl
      assert(backend:renew("pds", "renewed"))
      time.sleep(0.3)
    end
    assert.equal("renewed stays", ids(lapse:join().records))
    assert(other:renew("pds", "renewed"))    -- without having registered it
    assert(other:renew("pds", "stays"))
    fails("not_found", "not registered", other:renew("pds", "pds@edge"))
    assert.equal("renewed stays", ids(backend:lookup("pds")))
  end)

  test("puts back what was lost when it is renewed", function(cluster)
    local backend <close> = cluster:open()
    local key = PREFIX .. "pds/pds@edge"
    assert(backend:register(record(), 30))
    local lease = lease_of(cluster, key)
    assert.equal(200, select(2, cluster:call("lease/revoke", { ID = lease })))
    assert.is_nil(lease_of(cluster, key))
    assert(backend:renew("pds", "pds@edge"))
    local second = lease_of(cluster, key)
    assert.is_true(second and second ~= lease)

    cluster:call("kv/deleterange", { key = key })    -- the lease lives, the key does not
    assert(backend:renew("pds", "pds@edge"))
    local third = lease_of(cluster, key)
    assert.is_true(third and third ~= second)
    assert.equal("pds@edge", ids(backend:lookup("pds")))

    assert(backend:register(record { port = 4000 }, 30))
    assert.equal(4000, backend:lookup("pds")[1].port)
    reach_leases(cluster, 1) -- the old ones are revoked

    -- another process takes the record over: both keep it, none fights for it
    local other <close> = cluster:open()
    assert(other:register(record { port = 5000 }, 30))
    assert(backend:renew("pds", "pds@edge"))
    assert.equal(5000, backend:lookup("pds")[1].port)
    local theirs = lease_of(cluster, key)
    assert(other:renew("pds", "pds@edge"))
    assert.equal(theirs, lease_of(cluster, key))
  end)

  test("wakes who waits when something has changed, and only then", function(cluster)
    local backend <close> = cluster:open()
    assert(backend:register(record()))
    local _, cursor = assert(backend:lookup("pds"))
    assert(backend:register(record { id = "a" }))
    local first = watch(backend, "pds", cursor, 20):join()    -- it had changed before
    assert.equal("a pds@edge", ids(first.records))

    local waiting = watch(backend, "pds", first.cursor, 20)
    local quiet = watch(backend, "other", first.cursor, 1)
    local began = time.monotonic()
    assert(backend:register(record { service = "pds-x" }))
    assert(backend:register(record { service = "pds.x" }))
    assert.equal("", ids(quiet:join().records))
    assert.is_true(quiet:join().at - began >= 0.9)
    assert(backend:deregister("pds", "a"))
    local second = waiting:join()
    assert.equal("pds@edge", ids(second.records))

    began = time.monotonic()
    local same = watch(backend, "pds", second.cursor, 0.5):join()
    assert.equal("pds@edge", ids(same.records))
    assert.is_true(same.at - began >= 0.45)
    assert.equal("pds@edge", ids(backend:lookup("pds", same.cursor, 0)))
    assert.equal("pds@edge", ids(backend:lookup("pds", "no cursor of ours", 20)))

    local cancelled = watch(backend, "pds", second.cursor, 60)
    time.sleep(0.05)
    cancelled:cancel()
  end)

  test("wakes a hundred watchers, each with the last state", function(cluster)
    local backend <close> = cluster:open()
    local _, cursor = assert(backend:lookup("pds"))
    local seen, watchers = 0, {}
    for i = 1, 100 do
      watchers[i] = task.spawn(function()
        local at, records = cursor, {}
        while ids(records) ~= "a b c" do
          records, at = assert(backend:lookup("pds", at, 30))
        end
        seen = seen + 1
      end)
    end
    for _, id in ipairs { "a", "b", "c" } do
      assert(backend:register(record { id = id }, 30))
      time.sleep(0.05)
    end
    for _, watcher in ipairs(watchers) do watcher:join() end
    assert.equal(100, seen)
  end)

  test("lists again after a compaction, and after its revisions began anew", function(cluster)
    local backend <close> = cluster:open()
    assert(backend:register(record { id = "a" }))
    local _, old = assert(backend:lookup("pds"))
    for _ = 1, 5 do cluster:put("/else", "x") end
    local late = assert(backend:register(record { id = "b" }))
    assert.is_true(late)
    local _, now = assert(backend:lookup("pds"))
    assert.equal(200, select(2, cluster:call("kv/compaction", { revision = now })))
    local began = time.monotonic()
    local records, cursor = backend:lookup("pds", old, 30)
    assert.equal("a b", ids(records))
    assert.is_true(time.monotonic() - began < 25)
    local waiting = watch(backend, "pds", cursor, 30)
    assert(backend:deregister("pds", "a"))
    assert.equal("b", ids(waiting:join().records))

    _, cursor = assert(backend:lookup("pds"))
    cluster:kill(1)
    support.remove_tree(cluster.nodes[1].dir)
    cluster:restart(1)
    cluster:wait_ready(1)
    began = time.monotonic()
    assert.equal("", ids(backend:lookup("pds", cursor, 60)))    -- a cursor of the future
    assert.is_true(time.monotonic() - began < 30)
  end)

  test("locks with a token that only grows", function(cluster)
    local backend <close> = cluster:open()
    local other <close> = cluster:open()
    local first = assert(backend:lock("/atproto/leader", { ttl = 30, value = "edge" }))
    assert.equal("edge", other:kv_get("/atproto/leader").value)
    fails("exists", "/atproto/leader: the lock is held", other:lock("/atproto/leader"))
    fails("exists", "held", backend:lock("/atproto/leader"))    -- not by the same process either
    local began = time.monotonic()
    fails("exists", "held", other:lock("/atproto/leader", { timeout = 0.5 }))
    assert.is_true(time.monotonic() - began >= 0.45)
    reach_leases(cluster, 1)

    local waiting = task.spawn(function()
      return assert(other:lock("/atproto/leader", { ttl = 3, timeout = 30, value = "hub" }))
    end)
    assert(backend:renew_lock(first.lock))
    assert(backend:unlock("/atproto/leader", first.lock))
    local second = waiting:join()
    assert.equal("hub", backend:kv_get("/atproto/leader").value)
    assert.is_true(second.token > first.token)
    fails("not_found", "lost", backend:renew_lock(first.lock))
    assert(backend:unlock("/atproto/leader", first.lock))    -- harmless by then
    fails("not_found", "lost", backend:renew_lock("no lock"))

    -- the holder falls silent: the lock is free after its ttl
    local third = assert(backend:lock("/atproto/leader", { ttl = 30, timeout = 30 }))
    assert.is_true(third.token > second.token)
    fails("not_found", "lost", other:renew_lock(second.lock))

    -- somebody deletes the key: the lease lives, the lock is lost
    assert(other:kv_delete("/atproto/leader"))
    fails("not_found", "lost", backend:renew_lock(third.lock))

    local held = assert(backend:lock("/atproto/leader", { ttl = 30 }))
    local gives_up = task.spawn(function() other:lock("/atproto/leader", { timeout = 60 }) end)
    time.sleep(0.1)
    gives_up:cancel()
    assert(backend:unlock("/atproto/leader", held.lock))
    support.wait_until(function() return backend:kv_get("/atproto/leader").value == nil end)
  end)

  test("lets a lock lapse whose key was written to", function(cluster)
    local backend <close> = cluster:open()
    local held = assert(backend:lock("/atproto/leader", { ttl = 6, value = "edge" }))
    local lease = lease_of(cluster, "/atproto/leader")
    assert(backend:kv_put("/atproto/leader", "edge:1"))
    assert.equal(lease, lease_of(cluster, "/atproto/leader"))
    local revision = backend:kv_get("/atproto/leader").revision
    assert(backend:kv_put("/atproto/leader", "edge:2", revision))
    assert.equal(lease, lease_of(cluster, "/atproto/leader"))
    assert(backend:renew_lock(held.lock))    -- it is still the holder's
    assert.equal("edge:2", backend:kv_get("/atproto/leader").value)

    local other <close> = cluster:open()
    local next_one = assert(other:lock("/atproto/leader", { ttl = 30, timeout = 30 }))
    assert.is_true(next_one.token > held.token)
    assert(other:kv_put("/atproto/leader", "hub"))
    assert(other:unlock("/atproto/leader", next_one.lock))
    assert.is_nil(other:kv_get("/atproto/leader").value)

    assert(other:kv_put("/plain", "1"))    -- what has no lease gets none
    assert(other:kv_put("/plain", "2"))
    assert.equal("none", lease_of(cluster, "/plain"))
  end)

  test("keeps keys, and writes them only as they were read", function(cluster)
    local backend <close> = cluster:open()
    local got, cursor = assert(backend:kv_get("/plan"))
    assert.same({ nil, 0 }, { got.value, got.revision })
    local waiting = task.spawn(function() return (backend:kv_get("/plan", cursor, 20)) end)
    local bytes = "a\0b\255" .. ("x"):rep(10000)
    local revision = assert(backend:kv_put("/plan", bytes, 0))
    assert.same({ value = bytes, revision = revision }, waiting:join())
    fails("exists", "it has revision " .. revision .. " by now, not 0",
      backend:kv_put("/plan", "second", 0))
    local later = assert(backend:kv_put("/plan", "second", revision))
    assert.is_true(later > revision)
    fails("exists", "by now", backend:kv_delete("/plan", revision))
    assert(backend:kv_delete("/plan", later))
    assert(backend:kv_delete("/plan"))
    assert.is_nil(backend:kv_get("/plan").value)
  end)
end)
