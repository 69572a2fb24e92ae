--- The consul backend, with something else in the place of Consul.
require "support"
local servers = require "support.servers"
local consul = require "support.consul"
local core = require "orrery.core"
local task, time = core.task, core.time

local RECORD = { service = "web", node = "edge", address = "127.0.0.1", port = 3000 }
local LOCK = "445e9252-820e-f2fc-e7d2-fd080d4e0177:a/b"

-- Every verb, asked of a backend.
local VERBS = {
  register = function(b) return b:register(RECORD, 60) end,
  renew = function(b) return b:renew("web", "web@edge") end,
  deregister = function(b) return b:deregister("web", "web@edge") end,
  lookup = function(b) return b:lookup "web" end,
  services = function(b) return b:services() end,
  lock = function(b) return b:lock "a/b" end,
  renew_lock = function(b) return b:renew_lock(LOCK) end,
  unlock = function(b) return b:unlock("a/b", LOCK) end,
  kv_get = function(b) return b:kv_get "a/b" end,
  kv_put = function(b) return b:kv_put("a/b", "x") end,
  kv_cas = function(b) return b:kv_put("a/b", "x", 0) end,
  kv_delete = function(b) return b:kv_delete "a/b" end,
}

local function with(kind, body, ...)
  local server = servers.start("consul_hostile.py", kind, ...)
  local address = "127.0.0.1:" .. server.ports[1]
  local backend = assert(core.discovery.open("consul", { consulAddress = address }))
  local ok, problem = pcall(body, backend, address)
  backend:close()
  server.stop()
  if not ok then error(problem, 0) end
end

local function asked(address)
  return tonumber(assert(core.http.get("http://" .. address .. "/count")).body)
end

describe("the consul backend before a server that is none", function()
  for kind, code in pairs { garbage = "bad_reply", half = "bad_reply" } do
    it("gets an error from every verb: " .. kind, function()
      with(kind, function(backend, address)
        for name, verb in pairs(VERBS) do
          local value, message, got = verb(backend)
          assert.is_nil(value, name)
          assert.equal(address, message:sub(1, #address), name)
          assert.equal(code, got, name)
        end
      end)
    end)
  end

  for _, kind in ipairs { "html", "empty" } do
    it("gets an error wherever an answer counts: " .. kind, function()
      with(kind, function(backend, address)
        local names = { "lookup", "services", "lock", "kv_get", "kv_put", "kv_cas" }
        if kind == "html" then names[#names + 1] = "register"; names[#names + 1] = "renew" end
        for _, name in ipairs(names) do
          local value, message, got = VERBS[name](backend)
          assert.is_nil(value, name)
          assert.matches("is not what was expected; is this the HTTP port", message)
          assert.equal(address, message:sub(1, #address), name)
          assert.equal("bad_reply", got, name)
        end
      end)
    end)
  end

  it("gets records that are records, or an error, from JSON of any shape", function()
    with("shapes", function(backend)
      local seen = 0
      for _ = 1, 30 do
        for name, verb in pairs(VERBS) do
          local value, message = verb(backend)
          assert(value or message, name)
        end
      end
      for _ = 1, 20 do
        for _, found in ipairs(backend:lookup "web" or {}) do
          seen = seen + 1
          assert.matches("^10%.0%.0%.", found.address)
          assert.is_true(#found.id > 0 and #(found.tags or {}) <= 1)
        end
      end
      assert.is_true(seen > 0)
    end)
  end)

  it("survives answers that were changed at random", function()
    local seed = tostring(os.time())
    with("wild", function(backend)
      local good, bad = 0, 0
      for _ = 1, 400 do
        local list, message = backend:lookup "web"
        if list then good = good + 1 else bad = bad + 1; assert.is_string(message) end
      end
      assert.is_true(good > 0 and bad > 0, good .. " good, " .. bad .. " bad, seed " .. seed)
    end, seed)
  end)

  for _, kind in ipairs { "no-index", "huge-index" } do
    it("does not ask all the time while it cannot wait: " .. kind, function()
      with(kind, function(backend, address)
        local list, cursor = backend:lookup "web"
        assert.equal("web@a", list[1].id)
        local before, started = asked(address), os.clock()
        local again, same = backend:lookup("web", cursor, 2)
        assert.equal("web@a", again[1].id)
        assert.equal(cursor, same)
        assert.is_true(asked(address) - before < 60, "asked " .. asked(address) - before)
        assert.is_true(os.clock() - started < 1.5)
      end)
    end)
  end

  it("asks no watch twice at a time, however many wait for their turn", function()
    with("slow", function(backend)
      local _, cursor = backend:lookup "web"
      local watchers = {}
      for i = 1, 200 do
        watchers[i] = task.spawn(function() return backend:lookup("web", cursor, 0.5) end)
      end
      for i = 1, 200 do
        local list, same = watchers[i]:join(50)
        assert.equal("web@a", assert(list, same)[1].id)
        assert.equal(cursor, same)
      end
    end)
  end)

  it("is not made to take memory for an answer that is mostly structure", function()
    with("bomb", function(backend, address)
      local used = os.clock()
      local _, message, code = backend:lookup "web"
      assert.matches("^" .. address .. ": its answer is not what was expected", message)
      assert.equal("bad_reply", code)
      assert.is_true(os.clock() - used < 5)
    end)
  end)

  it("does not show the token, even if the server does", function()
    local server = servers.start("consul_hostile.py", "echo")
    local backend = assert(core.discovery.open("consul",
      { consulAddress = "127.0.0.1:" .. server.ports[1], consulToken = "hush-hush" }))
    for name, verb in pairs(VERBS) do
      for _ = 1, 3 do
        local value, message = verb(backend)
        if not value then
          assert.is_nil(message:find("hush", 1, true), name .. ": " .. message)
          assert.is_nil(message:find "%c", name)
        end
      end
    end
    local shown = 0
    for _ = 1, 3 do
      local _, message = backend:lookup "web"
      if message:find("X-Consul-Token: ***", 1, true) then shown = shown + 1 end
    end
    backend:close()
    server.stop()
    assert.equal(3, shown)
  end)

  it("is told that there is no leader, at once", function()
    with("leaderless", function(backend, address)
      local _, message, code = backend:lookup "web"
      assert.equal(address .. ": No cluster leader: the Consul cluster has no leader now; it can "
        .. "answer again once a majority of its servers runs", message)
      assert.equal("io", code)
      _, message = backend:lookup("web", "00000001-7-0000000000000000", 30)
      assert.matches("No cluster leader", message)
      for name, verb in pairs(VERBS) do assert.is_nil((verb(backend)), name) end
    end)
  end)

  it("goes to the next address, and stays there", function()
    if not consul.program() then return pending(select(2, consul.program())) end
    local real = consul.start()
    finally(function() real:stop() end)
    for _, kind in ipairs { "garbage", "half", "html", "leaderless", "never" } do
      with(kind, function(_, address)
        local backend <close> = real:open { consulAddress = { address, real.addresses[1] } }
        local started = time.monotonic()
        assert.same({}, (backend:lookup "web"), kind)
        local count = asked(address)
        assert.is_true(time.monotonic() - started < 50)
        for _ = 1, 5 do assert(backend:register(RECORD, 60)) end
        assert.equal(count, asked(address), "it stays with the one that answered")
        assert(backend:deregister("web", "web@edge"))
      end)
    end
  end)

  it("ends what waits when it is closed", function()
    with("never", function(backend)
      local waiting = {}
      for name, verb in pairs(VERBS) do
        waiting[name] = task.spawn(function() return verb(backend) end)
      end
      time.sleep(0.1)
      backend:close()
      for name, one in pairs(waiting) do
        local value, _, code = one:join(50)
        assert.is_nil(value, name)
        assert.equal("closed", code, name)
      end
    end)
  end)
end)
