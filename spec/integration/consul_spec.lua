--- The consul backend, against a real Consul.
local support = require "support"
local consul = require "support.consul"
local core = require "orrery.core"
local task, time = core.task, core.time
local fails, record, ids = support.fails, support.record, support.ids

describe("the consul backend", function()
  local missing = select(2, consul.program())
  local server, backend

  setup(function() server = not missing and consul.start() end)
  teardown(function() if server then server:stop() end end)
  before_each(function() backend = server and server:open() end)
  after_each(function() if backend then backend:close() end end)

  local function test(name, body)
    it(name, function()
      if missing then return pending(missing) end
      body()
    end)
  end

  test("gives back what was registered, without loss", function()
    local did = "did:web:" .. ("x"):rep(1500) .. ".example.com"
    local meta = { zone = "eu", did = "not mine", ["a b/c"] = "odd", long = ("v"):rep(4000),
      ["consul-x"] = "reserved", ["orrery-0"] = "mine", empty = "" }
    assert(backend:register(record { scheme = "http", did = did, tags = { "b", "a", "" },
      meta = meta }, 60))
    assert(backend:register(record { id = "pds-2@edge", port = 3001 }, 60))
    assert(backend:register(record { service = "pds-2", id = "pds-2@edge", port = 3002 }, 60))
    local found = assert(backend:lookup "pds")
    assert.is_true(found[2].revision > 0)
    found[2].revision = nil
    assert.same({ service = "pds", id = "pds@edge", node = "edge", address = "127.0.0.1",
      port = 3000, scheme = "http", did = did, tags = { "b", "a", "" }, meta = meta,
      status = "passing", source = "consul" }, found[2])
    assert.same({ "pds-2@edge", "pds@edge" }, ids(found))
    assert.same({ "pds-2@edge" }, ids(backend:lookup "pds-2"))
    assert.same({ "pds", "pds-2" }, backend:services())
    for _, service in ipairs { "pds", "pds-2" } do
      for _, one in ipairs(backend:lookup(service)) do
        assert(backend:deregister(service, one.id))
        assert(backend:deregister(service, one.id), "a second time is fine")
      end
    end
    assert.same({}, (backend:lookup "pds"))
  end)

  test("agrees with what Consul's own tools say", function()
    assert(backend:register(record { tags = { "main" } }, 60))
    assert(backend:register(record { service = "plc", port = 2582 }, 60))
    local names = {}
    for name in server:cli("catalog", "services"):gmatch("%S+") do
      if name ~= "consul" then names[#names + 1] = name end
    end
    assert.same(names, backend:services())
    local one = server:ask("/v1/health/service/pds?passing")[1]
    assert.equal("pds@edge", one.Service.ID)
    assert.equal(3000, one.Service.Port)
    assert.same({ "main" }, one.Service.Tags)
    assert.equal("edge", one.Service.Meta.node)
    local check = one.Checks[1].ServiceID ~= "" and one.Checks[1] or one.Checks[2]
    assert.equal("passing", check.Status)
    assert.equal("ttl", check.Type)
    assert(backend:deregister("pds", "pds@edge"))
    assert(backend:deregister("plc", "plc@edge"))
    assert.equal("consul\n", server:cli("catalog", "services"))
  end)

  test("reads what was registered by hand", function()
    server:put("/v1/agent/service/register", { Name = "web" })
    server:put("/v1/agent/service/register", { Name = "web", ID = "web 2/x", Port = 8080,
      Address = "10.0.0.2", Tags = { "a" }, Meta = { scheme = "https", zone = "eu" },
      Check = { TTL = "60s", Status = "warning" } })
    local found = assert(backend:lookup "web")
    assert.equal(2, #found)
    assert.same({ "127.0.0.1", "n1", "web@n1", "passing" },
      { found[1].address, found[1].node, found[1].id, found[1].status })
    assert.is_nil(found[1].port)
    assert.same({ "10.0.0.2", 8080, "https", "warning" },
      { found[2].address, found[2].port, found[2].scheme, found[2].status })
    assert.same({ zone = "eu" }, found[2].meta)
    server:put("/v1/agent/service/deregister/web", "")
    server:put("/v1/agent/service/deregister/web%202%2Fx", "")
  end)

  test("renews, and says when there is nothing to renew", function()
    assert(backend:register(record { status = "critical" }, 60))
    assert.equal("critical", backend:lookup("pds")[1].status)
    assert(backend:renew("pds", "pds@edge"))
    assert.equal("passing", backend:lookup("pds")[1].status)
    assert(backend:register(record(), 3)) -- also a busy machine looks it up before that
    local list, cursor = backend:lookup "pds"
    assert.equal("passing", list[1].status)
    list = backend:lookup("pds", cursor, 30)
    assert.equal("critical", list[1].status)
    assert(backend:deregister("pds", "pds@edge"))
    fails("not_found", "pds@edge of pds.*register it", backend:renew("pds", "pds@edge"))
    fails("not_found", "register it", backend:renew("x", "other@edge"))
  end)

  test("wakes a watcher for a change of its service, and for nothing else", function()
    assert(backend:register(record(), 60))
    local list, cursor = backend:lookup "pds"
    local _, absent_cursor = backend:lookup "absent"
    local present = task.spawn(function() return backend:lookup("pds", cursor, 60) end)
    local absent = task.spawn(function() return backend:lookup("absent", absent_cursor, 60) end)
    assert(backend:register(record(), 60)) -- the same again
    assert(backend:renew("pds", "pds@edge"))
    for port = 1, 5 do assert(backend:register(record { service = "other", port = port }, 60)) end
    assert(backend:deregister("other", "other@edge"))
    fails("timeout", "timed out", present:join(0.3))
    fails("timeout", "timed out", absent:join(0.1))

    assert(backend:register(record { port = 3001 }, 60))
    local news, news_cursor = present:join(50)
    assert.equal(3001, news[1].port)
    assert.is_true(news[1].revision > list[1].revision)
    assert.not_equal(cursor, news_cursor)
    assert(backend:register(record { service = "absent" }, 60))
    assert.same({ "absent@edge" }, ids(absent:join(50)))
    assert(backend:deregister("pds", "pds@edge"))
    assert(backend:deregister("absent", "absent@edge"))
  end)

  test("gives the same answer when the time is up, near the time asked for", function()
    assert(backend:register(record(), 60))
    local _, cursor = backend:lookup "pds"
    local started = time.monotonic()
    local list, again = backend:lookup("pds", cursor, 1)
    local took = time.monotonic() - started
    assert.equal(cursor, again)
    assert.equal(1, #list)
    assert.is_true(took >= 0.9 and took < 20, "took " .. took)
    list, again = backend:lookup("pds", "another backend's", 60)
    assert.equal(1, #list)
    assert.not_equal("another backend's", again)
    assert(backend:deregister("pds", "pds@edge"))
  end)

  test("stays within the datacenter that is named", function()
    local here <close> = server:open { consulDatacenter = "dc1" }
    assert(here:register(record(), 60))
    assert.same({ "pds@edge" }, ids(here:lookup "pds"))
    assert(here:deregister("pds", "pds@edge"))
    local there <close> = server:open { consulDatacenter = "dc2" }
    fails("invalid", "this agent's datacenter is not the one", there:register(record(), 60))
    for _, verb in ipairs { "lookup", "kv_get", "lock" } do
      fails("invalid", "Consul knows no such datacenter", there[verb](there, "pds"))
    end
    assert.same({}, (here:lookup "pds"))
  end)

  test("has no check where there is no ttl", function()
    assert(backend:register(record(), 60))
    assert(backend:register(record()))
    assert.equal(1, #server:ask("/v1/health/service/pds")[1].Checks, "its node's")
    assert(backend:deregister("pds", "pds@edge"))
  end)

  test("wakes a hundred watchers, and leaves no one behind when they are cancelled", function()
    local _, cursor = backend:lookup "pds"
    local watchers = {}
    for i = 1, 100 do
      watchers[i] = task.spawn(function() return backend:lookup("pds", cursor, 60) end)
    end
    fails("timeout", "timed out", watchers[100]:join(0.5))
    assert(backend:register(record(), 60))
    for i = 1, 100 do assert.same({ "pds@edge" }, ids(watchers[i]:join(50))) end
    _, cursor = backend:lookup "pds"
    for i = 1, 100 do
      watchers[i] = task.spawn(function() return backend:lookup("pds", cursor, 60) end)
    end
    time.sleep(0.05)
    for i = 1, 100 do watchers[i]:cancel() end
    assert(backend:deregister("pds", "pds@edge"))
  end)

  test("lets watchers take turns where they are more than Consul's connections", function()
    local busy = consul.start() -- cancelled watches keep the other's connections for a while
    finally(function() busy:stop() end)
    local many <close> = busy:open()
    local _, cursor = many:lookup "pds"
    local watchers = {}
    for i = 1, 300 do
      watchers[i] = task.spawn(function() return many:lookup("pds", cursor, 60) end)
    end
    fails("timeout", "timed out", watchers[300]:join(3)) -- by then turns have changed
    assert(many:register(record(), 60))
    local started = time.monotonic()
    for i = 1, 300 do assert.same({ "pds@edge" }, ids(watchers[i]:join(50))) end
    assert.is_true(time.monotonic() - started < 55) -- a minute: without a word
    local _, late = many:lookup("pds", nil)
    watchers[301] = task.spawn(function() return many:lookup("pds", late, 0.5) end)
    assert.same({ "pds@edge" }, ids(watchers[301]:join(50)))
  end)

  test("keeps keys and values of any bytes", function()
    local bytes = {}
    for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
    local value = table.concat(bytes)
    local found, cursor = backend:kv_get "/spec/a"
    assert.is_nil(found.value)
    local revision = assert(backend:kv_put("/spec/a", value, 0))
    assert.same({ value = value, revision = revision }, (backend:kv_get "/spec/a"))
    assert.equal(value, (backend:kv_get "spec/a").value, "Consul's keys have no slash before them")
    fails("exists", "written by another", backend:kv_put("/spec/a", "b", 0))
    fails("exists", "written by another", backend:kv_put("/spec/a", "b", revision + 1))
    local later = assert(backend:kv_put("/spec/a", "", revision))
    assert.is_true(later > revision)
    assert.same({ value = "", revision = later }, (backend:kv_get("/spec/a", cursor, 10)))
    fails("exists", "written by another", backend:kv_delete("/spec/a", revision))
    assert(backend:kv_delete("/spec/a", later))
    assert(backend:kv_delete "/spec/a")
    assert.is_nil((backend:kv_get "/spec/a").value)
    assert(backend:kv_put("/spec/a?b=c&d%2fe#f~@+", "odd"))
    assert.equal("odd", (backend:kv_get "/spec/a?b=c&d%2fe#f~@+").value)
    fails("invalid", "path such as a/b", backend:kv_get "/spec/../a")
    fails("invalid", "path such as a/b", backend:kv_put("/spec//a", "x"))
    fails("invalid", "413", backend:kv_put("/spec/big", ("x"):rep(512 * 1024)))
  end)

  test("wakes who watches a key, and only for that key", function()
    local _, cursor = backend:kv_get "/spec/w"
    local watching = task.spawn(function() return backend:kv_get("/spec/w", cursor, 60) end)
    assert(backend:kv_put("/spec/other", "x"))
    assert(backend:kv_put("/spec/w/below", "x"))
    fails("timeout", "timed out", watching:join(0.3))
    local revision = assert(backend:kv_put("/spec/w", "new"))
    local found
    found, cursor = watching:join(50)
    assert.same({ value = "new", revision = revision }, found)
    local same, again = backend:kv_get("/spec/w", cursor, 0.2)
    assert.equal(cursor, again)
    assert.equal("new", same.value)
    watching = task.spawn(function() return backend:kv_get("/spec/w", cursor, 60) end)
    assert(backend:kv_delete "/spec/w")
    assert.is_nil(watching:join(50).value)
  end)

  test("locks: one holder, and a token that only grows", function()
    local key, other <close> = "/spec/lock", server:open()
    local first = assert(backend:lock(key, { ttl = 60, value = "one" }))
    assert.equal("one", (backend:kv_get(key)).value)
    fails("exists", "spec/lock is held by another", other:lock(key, { ttl = 10 }))
    fails("exists", "held by another", other:lock(key, { ttl = 10, timeout = 0.3 }))
    assert(backend:renew_lock(first.lock))
    assert(other:kv_put(key, "written over")) -- resets Consul's LockIndex
    assert(backend:renew_lock(first.lock))

    local waiting = task.spawn(function()
      return other:lock(key, { value = "two", timeout = 60 })
    end)
    fails("timeout", "timed out", waiting:join(0.3))
    assert(backend:unlock(key, first.lock))
    local second = assert(waiting:join(50))
    assert.is_true(second.token > first.token)
    assert.equal("two", (backend:kv_get(key)).value)
    fails("not_found", "is lost", backend:renew_lock(first.lock))
    assert(backend:unlock(key, first.lock), "to give back what is not ours is fine")
    assert(other:renew_lock(second.lock), "and takes it from nobody")

    assert(backend:kv_delete(key)) -- works on a held key
    fails("not_found", "is lost", other:renew_lock(second.lock))
    local third = assert(backend:lock(key))
    assert.is_true(third.token > second.token)
    assert(other:unlock(key, second.lock))
    assert(backend:renew_lock(third.lock))
    assert(backend:unlock(key, third.lock))
    assert.is_nil((backend:kv_get(key)).value)
    support.wait_until(function() return #server:ask("/v1/session/list") == 0 end)
    fails("invalid", "not a lock", backend:renew_lock("x"))
    fails("invalid", "path such as", backend:lock("a//b"))
  end)

  test("keeps the lock-delay of a holder that was ended, and drops a waiter", function()
    local key = "/spec/ended"
    local lock = assert(backend:lock(key, { ttl = 10 }))
    local session = server:ask("/v1/session/list")[1]
    assert.equal(10e9, session.LockDelay)
    assert.equal("10s", session.TTL)
    assert.same({}, session.NodeChecks)
    local waiting = task.spawn(function() return backend:lock(key, { timeout = 60 }) end)
    fails("timeout", "timed out", waiting:join(0.2))
    server:put("/v1/session/destroy/" .. session.ID, "")
    fails("not_found", "is lost", backend:renew_lock(lock.lock))
    fails("timeout", "timed out", waiting:join(1))
    fails("exists", "held", backend:lock(key, { ttl = 10, timeout = 0.2 }))
    waiting:cancel()
    support.wait_until(function() return #server:ask("/v1/session/list") == 0 end)
  end)

  test("sees a lapse: a lock and a record that are not renewed", function()
    local key = "/spec/lapse"
    local other <close> = server:open()
    assert(other:register(record(), 4))
    local _, cursor = backend:lookup "pds"
    local first = assert(other:lock(key, { ttl = 10, value = "one" }))
    local started = time.monotonic()
    local waiting = task.spawn(function() return backend:lock(key, { timeout = 60 }) end)
    assert.equal("critical", backend:lookup("pds", cursor, 40)[1].status)
    assert.is_true(time.monotonic() - started < 30)
    local second = assert(waiting:join(60))
    local took = time.monotonic() - started
    assert.is_true(took > 19, "a ttl and its lock-delay have passed: " .. took)
    assert.is_true(second.token > first.token)
    fails("not_found", "is lost", other:renew_lock(first.lock))
    assert(backend:unlock(key, second.lock))
    assert(backend:deregister("pds", "pds@edge"))
  end)
end)
