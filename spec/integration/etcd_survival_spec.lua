--- The etcd backend while servers, leaders, logins and certificates come and go.
local support = require "support"
local core = require "orrery.core"
local etcd = require "support.etcd"

local task, time = core.task, core.time
local fails, record = support.fails, support.record

local KEY = "/atproto/services/pds/pds@edge"

local function ids(found) return table.concat(support.ids(found), " ") end

local function count(records)
  local total = 0
  for _ in pairs(records) do total = total + 1 end
  return total
end

--- Keeps the last answer of a watch, as the loops of the runtime do: after a failure it waits a
--- little and looks again. stop() it.
local function follow(backend, service)
  local self = { seen = {}, failures = 0 }
  self.task = task.spawn(function()
    local cursor
    while true do
      local records, at = backend:lookup(service, cursor, 5)
      if records then
        self.seen, cursor = {}, at
        for _, found in ipairs(records) do self.seen[found.id] = found.port end
      else
        self.failures, self.message, cursor = self.failures + 1, at, nil
        time.sleep(0.1)
      end
    end
  end)
  function self.stop() self.task:cancel() end
  return self
end

local function cpu()
  return tonumber(assert(core.file.read("/proc/self/schedstat")):match "^%d+") / 1e9
end

local function run(version, options, fn)
  local cluster = etcd.start { version = version, nodes = options.nodes, tls = options.tls,
    flags = options.flags }
  local ok, message = pcall(fn, cluster)
  cluster:stop()
  return ok, message
end

--- Defines a test that runs with both versions at once: most of it is waiting.
local function test(name, options, fn)
  it(name, function()
    local running = {}
    for _, version in ipairs(etcd.VERSIONS) do
      local program, reason = etcd.program(version)
      if not program then return pending(reason) end
      running[version] = task.spawn(run, version, options, fn)
    end
    local problems = {}
    for version, one in pairs(running) do
      local ok, message = one:join()
      if not ok then problems[#problems + 1] = version .. ": " .. tostring(message) end
    end
    assert.equal("", table.concat(problems, "\n"))
  end)
end

describe("etcd", function()
  test("loses its leader under writes, and nothing else", { nodes = 3 }, function(cluster)
    local backend <close> = cluster:open()
    local reader <close> = cluster:open({
      etcdEndpoints = { cluster.addresses[3], cluster.addresses[1], cluster.addresses[2] } })
    local watcher = follow(reader, "pds")
    local written, longest, stopped = {}, 0, false
    local writers = {}
    for w = 1, 4 do
      writers[w] = task.spawn(function()
        local n = 0
        while not stopped do
          n = n + 1
          local id, began = ("w%d-%d"):format(w, n), time.monotonic()
          assert(backend:register(record { id = id, port = n }, 60))
          longest = math.max(longest, time.monotonic() - began)
          written[id] = n
          time.sleep(0.05)
        end
        return true
      end)
    end
    time.sleep(0.5)
    cluster:kill(cluster:leader())
    local before = count(written)
    support.wait_until(function() return count(written) > before + 20 end, 20, "writes")
    stopped = true
    for _, writer in ipairs(writers) do assert(writer:join()) end
    assert.is_true(longest < 30, longest)
    support.wait_until(function() return count(watcher.seen) == count(written) end, 10, "news")
    watcher.stop()
    assert.same(written, watcher.seen)
    assert.equal(count(written), #assert(backend:lookup("pds")))
  end)

  test("says when it has no leader, and what it last knew", { nodes = 3 }, function(cluster)
    local backend <close> = cluster:open()
    assert(backend:register(record(), 60))
    local _, cursor = assert(backend:lookup("pds"))
    local waiting = task.spawn(function()
      return table.pack(backend:lookup("pds", cursor, 60))
    end)
    time.sleep(0.2)
    cluster:kill(2)
    cluster:kill(3)
    local no_leader = "127%.0%.0%.1:%d+: etcd has no leader"
    fails("timeout", no_leader, table.unpack(waiting:join(), 1, 3))
    assert.equal("pds@edge", ids(backend:lookup("pds")))
    assert.same({ "pds" }, backend:services())
    local began, used = time.monotonic(), cpu()
    support.wait_until(function()
      local _, message, code = backend:register(record { id = "b" }, 60)
      fails("timeout", "127%.0%.0%.1:%d+: ", nil, message, code)
      return time.monotonic() - began > 2
    end, 30, "two seconds of trying")
    assert.is_true(cpu() - used < (time.monotonic() - began) / 2)    -- nobody spins
    fails("timeout", no_leader, backend:lock("/leader", { timeout = 1 }))
    fails("timeout", no_leader, backend:kv_get("/leader"))
    cluster:restart(2)
    support.wait_until(function() return backend:register(record { id = "b" }, 60) end, 20, "it")
    assert.equal("b pds@edge", ids(backend:lookup("pds")))
    assert(backend:lock("/leader"))
  end)

  test("is gone for longer than its leases last, and comes back", {}, function(cluster)
    local backend <close> = cluster:open()
    local _, here = assert(backend:lookup("pds"))
    local watcher = follow(backend, "pds")
    assert(backend:register(record(), 2))
    support.wait_until(function() return watcher.seen["pds@edge"] end, 10, "the record")
    cluster:kill(1)
    local began, used = time.monotonic(), cpu()
    fails("refused", "^127%.0%.0%.1:%d+: connection refused$", backend:renew("pds", "pds@edge"))
    fails("refused", "^127%.0%.0%.1:%d+: connection refused$", backend:services())
    time.sleep(3)
    assert.is_true(cpu() - used < (time.monotonic() - began) / 2)
    cluster:restart(1)
    cluster:wait_ready(1)
    cluster:call("kv/deleterange", { key = KEY })    -- as when its lease had lapsed
    assert(backend:renew("pds", "pds@edge"))
    assert(backend:register(record { id = "last", port = 9 }, 60))
    support.wait_until(function() return watcher.seen.last == 9 and watcher.seen["pds@edge"] end,
      10, "the last state")
    watcher.stop()
    assert.is_true(here ~= nil and watcher.failures > 0)
  end)

  test("is asked elsewhere when a server freezes", { nodes = 3 }, function(cluster)
    local leader = cluster:leader()
    local follower = leader % 3 + 1
    local order = { cluster.addresses[follower], cluster.addresses[leader] }
    local backend <close> = cluster:open({ etcdEndpoints = table.concat(order, ", ") })
    assert(backend:register(record(), 60))
    local _, cursor = assert(backend:lookup("pds"))
    local waiting = task.spawn(function() return (backend:lookup("pds", cursor, 60)) end)
    time.sleep(0.3)    -- its stream is open at the follower by now
    cluster:freeze(follower)
    assert(backend:register(record { id = "b" }, 60))
    local records = waiting:join(55)
    cluster:thaw(follower)
    assert.equal("b pds@edge", ids(records))
  end)

  test("asks for a login", { flags = { "--auth-token-ttl", "2" } }, function(cluster)
    cluster:enable_auth()
    local user = { etcdUser = "app", etcdPassword = "app" }
    do
      local nobody <close> = cluster:open()
      fails("denied", "127.0.0.1:%d+: etcd wants a user", nobody:register(record(), 60))
      fails("denied", "etcd wants a user", nobody:lookup("pds", "1", 10))
      local wrong <close> = cluster:open({ etcdUser = "app", etcdPassword = "s3cret" })
      local _, message = wrong:lookup("pds")
      fails("denied", "does not know this user or password", nil, message, "denied")
      assert.is_nil(message:find("s3cret", 1, true))
    end
    local backend <close> = cluster:open(user)
    assert(backend:register(record(), 60))
    local _, cursor = assert(backend:lookup("pds"))
    local waiting = task.spawn(function() return (backend:lookup("pds", cursor, 60)) end)
    time.sleep(3.5)    -- unused for longer than its ttl, the token is gone; the watch is not
    assert(backend:register(record { id = "b" }, 60))
    assert.equal("b pds@edge", ids(waiting:join(50)))
    fails("denied", "may not do that %(etcdUser%)", backend:kv_put("/else", "x"))

    -- the servers forget every token when they start again
    cluster:kill(1)
    cluster:restart(1)
    cluster:wait_ready(1)
    assert(backend:renew("pds", "pds@edge"))
    assert.equal("b pds@edge", ids(backend:lookup("pds")))

    -- a fresh watch begins with a token that is no longer good
    local fresh <close> = cluster:open(user)
    _, cursor = assert(fresh:lookup("pds"))
    time.sleep(3.5)
    waiting = task.spawn(function() return (fresh:lookup("pds", cursor, 60)) end)
    assert(backend:deregister("pds", "b"))
    assert.equal("pds@edge", ids(waiting:join(50)))
  end)

  test("lets a user watch what it may, and reads its password from a file", {}, function(cluster)
    cluster:enable_auth()
    local dir = support.tmp()
    support.write(dir .. "/password", "app\n")
    local options = { etcdUser = "app", etcdPasswordFile = dir .. "/password",
      etcdKeyPrefix = "/" }    -- may read "/atproto/...", and nothing beside it
    local narrow <close> = cluster:open(options)
    local _, cursor = assert(narrow:lookup("atproto", nil, 0))
    for i = 1, 3 do
      local waiting = task.spawn(function()
        local records
        records, cursor = narrow:lookup("atproto", cursor, 30)
        return records
      end)
      cluster:call("kv/put", { key = "/atproto/x" .. i, value = '{"address": "a"}' },
        { token = cluster:token "app" })
      assert(waiting:join(50))
    end
    assert.is_truthy(ids(narrow:lookup("atproto")):find "x3")
    support.write(dir .. "/password", "")
    os.remove(dir .. "/password")
    local late <close> = cluster:open(options)
    fails("not_found", "password: ", late:services())
  end)

  test("speaks TLS with certificates", { tls = true }, function(cluster)
    local tls = cluster.tls
    local options = { etcdEnableTLS = true, etcdCaFile = tls.ca, etcdCertFile = tls.client,
      etcdKeyFile = tls.client_key }
    local backend <close> = cluster:open(options)
    assert(backend:register(record(), 60))
    local _, cursor = assert(backend:lookup("pds"))
    local waiting = task.spawn(function() return (backend:lookup("pds", cursor, 30)) end)
    assert(backend:register(record { id = "b" }, 60))
    assert.equal("b pds@edge", ids(waiting:join()))

    options.etcdServerName = "etcd.test"
    local named <close> = cluster:open(options)
    assert.equal("b pds@edge", ids(named:lookup("pds")))
    options.etcdServerName = "else.test"
    local other <close> = cluster:open(options)
    fails("io", "^127.0.0.1:%d+: its TLS certificate is not accepted", other:lookup("pds"))
    local system <close> = cluster:open({ etcdEnableTLS = true })
    fails("io", "certificate is not accepted", system:lookup("pds"))
    local nobody <close> = cluster:open({ etcdEnableTLS = true, etcdCaFile = tls.ca })
    fails("io", "^127.0.0.1:%d+: ", nobody:lookup("pds"))
    local plain <close> = cluster:open()
    local _, message = plain:lookup("pds")
    assert.matches("^127.0.0.1:%d+: ", message)
  end)
end)
