-- The watch and the registrar over real servers that go and come back.
local consul = require "support.consul"
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local etcd = require "support.etcd"
local events = require "orrery.events"
local registrar_of = require "orrery.registrar"
local support = require "support"

local time = core.time

local LONG = 60 -- seconds that a server gets to be back, on a busy machine

local function instance(fields)
  local i = { id = "web@n", state = "running", health = "passing", address = "127.0.0.1", port = 81,
    service = { name = "web", scheme = "http" } }
  for key, value in pairs(fields or {}) do i[key] = value end
  return i
end

local function reach(watch, accepts, what)
  local deadline = time.monotonic() + LONG
  local records, info = watch:last()
  while not (records and accepts(records, info)) do
    local left = deadline - time.monotonic()
    if left <= 0 then error("waited in vain for " .. what, 2) end
    records, info = watch:next(left)
  end
  return records, info
end

local function told(log, text)
  local times = 0
  for _, event in pairs(log.list) do
    if event.reason:find(text, 1, true) then times = times + 1 end
  end
  return times
end

local function is_fresh(count)
  return function(records, info) return not info.stale and #records == count end
end

--- Registers web@n with ttl 12, and runs body(watch, log, noticed).
local function with_node(keys, body)
  local noticed = {}
  local found = assert(discovery.open(keys, { cache = support.tmp(), keep = true,
    notice = function(_, stale) noticed[#noticed + 1] = stale and "stale" or "fresh" end }))
  local log = events.new()
  local registrar = registrar_of.new({ discovery = found, node = "n", ttl = 12, log = log })
  local running = core.task.spawn(registrar_of.run, registrar)
  local watch = found:watch "web"
  registrar_of.changed(registrar, instance())
  local ok, problem = xpcall(body, debug.traceback, watch, log, noticed)
  registrar_of.close(registrar)
  if running:join(50) == nil then running:cancel() end
  found:close()
  if not ok then error(problem, 0) end
end

--- A server that is away, and back: the last answer stays meanwhile, and what was registered is
--- there again.
local function goes_and_returns(keys, kind, address, kill, start)
  with_node(keys, function(watch, log, noticed)
    local records, info = reach(watch, is_fresh(1), "the instance")
    assert.equal("web@n", records[1].id)
    assert.equal(kind, info.source)
    assert.equal(kind, records[1].source)
    assert.equal("timeout", select(3, watch:next(6)), "a renewal is no change")
    local asked = watch.hub.asked
    kill()
    records, info = reach(watch, function(_, state) return state.stale end, "the watch to know")
    assert.equal("web@n", records[1].id)
    assert.equal("cache", info.source)
    assert.equal(("Cannot query discovery backend %s at %s: connection refused"):format(kind,
      address), info.error)
    support.wait_until(function() return told(log, "Cannot renew the records of") > 0 end, LONG,
      "the registrar to know")
    start()
    reach(watch, is_fresh(1), "the instance to be back")
    support.wait_until(function() return told(log, "works again") == 1 end, LONG, "the event")
    assert.equal(1, told(log, "Cannot renew the records of"))
    assert.same({ "stale", "fresh" }, noticed)
    assert.is_true(watch.hub.asked - asked < 100, "it did not spin")
  end)
end

--- `up` while nothing answers.
local function starts_without(keys, kind, address, start)
  with_node(keys, function(watch, log)
    local text = ("Cannot register with discovery backend %s at %s: connection refused")
      :format(kind, address)
    support.wait_until(function() return told(log, text) == 1 end, LONG, "the event")
    start()
    reach(watch, is_fresh(1), "the instance")
    assert.equal(1, told(log, "Cannot register"))
  end)
end

describe("discovery over Consul", function()
  local server
  before_each(function() server = consul.program() and consul.start() end)
  after_each(function() if server then server:stop() end end)

  it("keeps the last answer while its server is gone, and registers again", function()
    if not server then return pending(select(2, consul.program())) end
    local address = server.addresses[1]
    goes_and_returns({ backend = "consul", consulAddress = address }, "consul", address,
      function() server:kill(1) end, function() server:run(1) end)
  end)

  it("watches more services than the server bears connections", function()
    if not server then return pending(select(2, consul.program())) end
    local watches, stale = {}, 0
    local found <close> = assert(discovery.open({ backend = "consul",
      consulAddress = server.addresses[1] }, { notice = function() stale = stale + 1 end }))
    local function register_all(port)
      for n = 1, 230 do
        assert(found:register({ service = "s" .. n, node = "n", address = "10.0.0.1",
          port = port }, 600))
      end
    end
    register_all(1)
    for n = 1, 230 do watches[n] = found:watch("s" .. n) end
    for n = 1, 230 do reach(watches[n], is_fresh(1), "s" .. n) end
    register_all(2)
    for n = 1, 230 do
      reach(watches[n], function(list, info) return not info.stale and list[1].port == 2 end,
        "the change of s" .. n)
    end
    assert.equal(0, stale, "no connection was refused")
  end)

  it("may start after us", function()
    if not server then return pending(select(2, consul.program())) end
    server:kill(1)
    local address = server.addresses[1]
    starts_without({ backend = "consul", consulAddress = address }, "consul", address,
      function() server:run(1) end)
  end)
end)

for _, version in ipairs(etcd.VERSIONS) do
  describe("discovery over etcd " .. version, function()
    local server
    before_each(function()
      server = etcd.program(version) and etcd.start { version = version }
    end)
    after_each(function() if server then server:stop() end end)

    it("keeps the last answer while its server is gone, and registers again", function()
      if not server then return pending(select(2, etcd.program(version))) end
      local address = server.addresses[1]
      goes_and_returns({ backend = "etcd", etcdEndpoints = address }, "etcd", address,
        function() server:kill(1) end, function() server:restart(1) end)
    end)

    it("may start after us", function()
      if not server then return pending(select(2, etcd.program(version))) end
      server:kill(1)
      local address = server.addresses[1]
      starts_without({ backend = "etcd", etcdEndpoints = { address } }, "etcd", address,
        function() server:restart(1) end)
    end)
  end)
end
