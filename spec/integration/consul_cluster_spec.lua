--- The consul backend while Consul's servers go and come.
local support = require "support"
local consul = require "support.consul"
local core = require "orrery.core"
local task, time = core.task, core.time
local fails, ids = support.fails, support.ids

local RECORD = { service = "web", node = "edge", address = "127.0.0.1", port = 3000 }

local function test(name, body)
  local missing = select(2, consul.program())
  it(name, function()
    if missing then return pending(missing) end
    body()
  end)
end

--- A watch as the loop in Lua has it: every change in `seen`, and how often it failed.
local function watch(backend, service)
  local w = { seen = {}, errors = 0 }
  w.task = task.spawn(function()
    local list, cursor, before
    while true do
      list, cursor = backend:lookup(service, cursor, 60)
      if not list then
        w.errors, cursor = w.errors + 1, before
        time.sleep(0.1)
      elseif cursor ~= before then
        w.seen[#w.seen + 1], before = list, cursor
      end
    end
  end)
  function w.last() return w.seen[#w.seen] end
  return w
end

--- Writes under keys of its own until it is stopped; `acknowledged` holds what must not be lost.
local function writer(backend, name)
  local w = { acknowledged = {}, errors = {} }
  w.task = task.spawn(function()
    local number = 0
    while not w.stopped do
      number = number + 1
      local key = ("spec/%s/%d"):format(name, number)
      local revision, message = backend:kv_put(key, tostring(number), 0)
      if revision then w.acknowledged[#w.acknowledged + 1] = key
      else w.errors[#w.errors + 1] = message; time.sleep(0.05) end
      time.sleep(0.005)
    end
  end)
  return w
end

describe("the consul backend and a cluster", function()
  test("keeps what was acknowledged when the leader is killed under writes", function()
    local server = consul.start { nodes = 3 }
    finally(function() server:stop() end)
    local leader = assert(server:leader())
    local addresses = { server.addresses[leader] }
    for _, address in ipairs(server.addresses) do
      if address ~= addresses[1] then addresses[#addresses + 1] = address end
    end
    local backend <close> = server:open { consulAddress = addresses }
    local reader <close> = server:open { consulAddress = { addresses[2], addresses[3] } }
    local agent <close> = server:open { consulAddress = addresses[2] }
    assert(agent:register(RECORD, 60))
    local lock = assert(backend:lock("spec/leader", { ttl = 60 }))
    local watching, writing = watch(reader, "web"), writer(backend, "k")
    support.wait_until(function() return #writing.acknowledged > 50 and watching.last() end, 20)
    local before = #writing.acknowledged

    server:kill(leader)
    local lookups = 0
    support.wait_until(function()
      local list = reader:lookup "web" -- never fails, and is never empty
      assert.same({ "web@edge" }, ids(list))
      lookups = lookups + 1
      return #writing.acknowledged > before + 50
    end, 60, "writes to go on")
    assert.is_true(lookups > 0)
    writing.stopped = true
    writing.task:join(50)
    assert.are_not.equal(leader, server:leader())
    for _, key in ipairs(writing.acknowledged) do
      assert.is_string(assert(reader:kv_get(key)).value, key)
    end

    assert(backend:renew_lock(lock.lock))
    local again = { service = "web", node = "edge", address = "127.0.0.1", port = 3001 }
    assert(agent:register(again, 60))
    support.wait_until(function() return watching.last()[1].port == 3001 end, 20)
    for _, seen in ipairs(watching.seen) do assert.equal(1, #seen) end
    assert.is_true(watching.errors < 200, "it did not spin")
    watching.task:cancel()
  end)

  test("does without a majority what can be done, and sees all when they are back", function()
    local server = consul.start { nodes = 3 }
    finally(function() server:stop() end)
    local backend <close> = server:open()
    assert(backend:register(RECORD, 30))
    assert(backend:kv_put("spec/a", "kept"))
    local path, found = server.dir .. "/1/checks/", nil
    for name in require("lfs").dir(path) do
      if name:match "^%x+$" then found = core.json.decode(support.read(path .. name)) end
    end
    assert.equal(60e9, found.ChkType.DeregisterCriticalServiceAfter)

    local stale <close> = server:open { consulStale = true }
    local strict <close> = server:open { consulConsistent = true }
    support.wait_until(function() return #(strict:lookup "web" or {}) == 1 end, 20)
    support.wait_until(function() -- that this server, too, has what the majority has
      return #stale:lookup "web" == 1 and stale:kv_get("spec/a").value
    end, 20)
    local _, cursor = assert(stale:lookup "web")
    local watching = watch(backend, "web")
    support.wait_until(function() return watching.last() end, 20)
    server:kill(2)
    server:kill(3)
    support.wait_until(function() return not server:leader() end, 20)
    assert.same({ "web@edge" }, ids(backend:lookup "web"), "what one server knows")
    assert.same({ "web" }, backend:services())
    assert.same({ "web@edge" }, ids(stale:lookup("web", cursor, 2)), "waits without a leader")
    assert.equal("kept", stale:kv_get "spec/a".value)
    fails("refused", "no leader.*connection refused", strict:lookup "web")
    fails("refused", "no leader.*connection refused", strict:kv_get "spec/a")
    local _, message, code = backend:lookup "absent"
    assert.equal("io", code)
    assert.matches("no leader", message)
    server:kill(1)
    fails("refused", "connection refused; 127.0.0.1:%d+: connection refused; 127",
      backend:lookup "web")
    fails("refused", "connection refused", backend:renew("web", "web@edge"))

    for number = 1, 3 do server:run(number) end
    server:ready(1)
    local renewed = support.wait_until(function()
      local ok, _, why = backend:renew("web", "web@edge")
      return ok or why == "not_found" and "again"
    end, 30)
    if renewed == "again" then assert(backend:register(RECORD, 30)) end
    assert.equal("kept", support.wait_until(function()
      local key = backend:kv_get "spec/a"
      return key and key.value
    end, 30))
    local other <close> = server:open { consulAddress = server.addresses[2] }
    assert(other:register({ service = "web", node = "west", address = "127.0.0.1", port = 1 }, 30))
    support.wait_until(function() return #watching.last() == 2 end, 30, "the watch to go on")
    assert.same({ "web@edge", "web@west" }, ids(watching.last()))
    assert.is_true(watching.errors > 0 and watching.errors < 500, watching.errors)
    watching.task:cancel()
  end)

  test("shows a record once that moved to another agent, and removes both", function()
    local server = consul.start { nodes = 3 }
    finally(function() server:stop() end)
    local follower = 1
    while follower == server:leader() do follower = follower + 1 end
    local others = {}
    for number, address in ipairs(server.addresses) do
      if number ~= follower then others[#others + 1] = address end
    end
    local backend <close> = server:open {
      consulAddress = { server.addresses[follower], table.unpack(others) } }
    local reader <close> = server:open { consulAddress = others }
    assert(backend:register(RECORD, 60))
    server:kill(follower)
    fails("not_found", "register it", backend:renew("web", "web@edge"))
    assert(backend:register(RECORD, 60))
    support.wait_until(function()
      return #server:ask("/v1/health/service/web", { node = follower % 3 + 1 }) == 2
    end, 20, "both to be in Consul")
    local list = assert(reader:lookup "web")
    assert.same({ "web@edge" }, ids(list))
    assert.equal("passing", list[1].status)

    server:run(follower)
    server:ready(follower)
    assert(backend:deregister("web", "web@edge"))
    support.wait_until(function()
      local now = reader:lookup "web"
      return now and #now == 0
    end, 30, "both to be gone")
  end)

  test("leaves a server that is frozen, and asks it for nothing else", function()
    local server = consul.start { nodes = 3 }
    finally(function() server:stop() end)
    local follower = server:leader() % 3 + 1
    local order = { server.addresses[follower], server.addresses[server:leader()] }
    local backend <close> = server:open { consulAddress = order }
    local other <close> = server:open { consulAddress = { order[2] } }
    assert(other:register(RECORD, 60))
    support.wait_until(function() return #assert(backend:lookup "web") == 1 end, 20, "the record")
    local _, cursor = assert(backend:lookup "web")
    local only <close> = server:open { consulAddress = { order[1] } }
    local _, its_cursor = assert(only:lookup "web")
    server:freeze(follower)
    assert(other:deregister("web", "web@edge"))
    local began = time.monotonic()
    local given_up
    local alone = task.spawn(function()
      local answer = table.pack(only:lookup("web", its_cursor, 4))
      given_up = time.monotonic() - began
      return answer
    end)
    assert.same({}, (backend:lookup("web", cursor, 4))) -- 4 s, 5 s of patience, then elsewhere
    assert.is_true(time.monotonic() - began < 17)       -- and not 10 s more at the frozen one
    fails("timeout", "no answer within", table.unpack(alone:join(), 1, 3))
    assert.is_true(given_up < 17, "where there is no other, it says so")
    server:thaw(follower)
  end)

  test("sees at once what a server with other data says: the index went backwards", function()
    local server = consul.start()
    finally(function() server:stop() end)
    local backend <close> = server:open()
    for i = 1, 30 do assert(backend:kv_put("spec/" .. i, "x")) end
    assert(backend:register(RECORD, 60))
    local watching = watch(backend, "web")
    local _, cursor = assert(backend:lookup "web")
    local _, key_cursor = assert(backend:kv_get "spec/30")
    support.wait_until(function() return watching.last() end, 20)

    server:kill(1)
    server:run(1)
    server:ready(1)
    fails("not_found", "register it", backend:renew("web", "web@edge"))
    support.wait_until(function() return #watching.last() == 0 end, 20, "the empty list")
    local started = time.monotonic()
    assert.same({}, (backend:lookup("web", cursor, 60)))
    assert.is_nil((backend:kv_get("spec/30", key_cursor, 60)).value)
    assert.is_true(time.monotonic() - started < 20)
    assert(backend:register(RECORD, 60))
    support.wait_until(function() return #watching.last() == 1 end, 20, "the record again")
    watching.task:cancel()

    local stranger <close> = server:open() -- another process's cursor counts other epochs
    assert.same({ "web@edge" }, ids(stranger:lookup("web", "00000000-99999-0123456789abcdef", 60)))
  end)
end)
