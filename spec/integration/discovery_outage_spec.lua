-- Every server of every backend at once is killed, stays away, and comes back with its data: what
-- the watch and the registrar, as an agent runs them, have at the end. They stay away for some
-- seconds; ORRERY_OUTAGE=60 makes it a minute, in which leases lapse.
local consul = require "support.consul"
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local dnsd = require "support.dnsd"
local etcd = require "support.etcd"
local events = require "orrery.events"
local registrar_of = require "orrery.registrar"
local support = require "support"

local task, time = core.task, core.time

local AWAY = tonumber(os.getenv "ORRERY_OUTAGE" or 3) -- seconds
local TTL = 15
local BACK = 90 -- seconds until all is as it should be, once the servers answer, on a busy machine

local function instance(id, health)
  return { id = id, state = "running", health = health or "passing", address = "127.0.0.1",
    port = 81, service = { name = "web", scheme = "http" } }
end

-- ---- the servers: {keys, kill, start, stop}; start() returns when they answer ----

local clusters = {}

function clusters.consul()
  if not consul.program() then return nil end
  local server = consul.start { nodes = 3 }
  return { keys = { backend = "consul", consulAddress = server.addresses },
    kill = function() for n = 1, 3 do server:kill(n) end end,
    start = function()
      for n = 1, 3 do server:run(n) end
      for n = 1, 3 do server:ready(n) end
    end,
    stop = function() server:stop() end }
end

for _, version in ipairs(etcd.VERSIONS) do
  clusters["etcd" .. version] = function()
    if not etcd.program(version) then return nil end
    local server = etcd.start { version = version, nodes = 3 }
    return { keys = { backend = "etcd", etcdEndpoints = server.addresses },
      kill = function() for n = 1, 3 do server:kill(n) end end,
      start = function()
        for n = 1, 3 do server:restart(n) end
        server:wait_ready()
      end,
      stop = function() server:stop() end }
  end
end

for _, name in ipairs { "bind", "knot" } do
  clusters[name] = function()
    local dir = support.tmp()
    local server = require("support." .. name).start { dir = dir }
    if not server then return nil end
    return { keys = { backend = "dns", dnsDomain = "svc.test", dnsResolver = server.address,
      dnsKeyFile = dnsd.key_files(dir).upd, dnsTtl = 1 },
      kill = server.kill, start = server.start, stop = server.stop }
  end
end

-- ---- one of them ----

local function reach(watch, accepts, seconds, what)
  local deadline = time.monotonic() + seconds
  local records, info = watch:last()
  while not (records and accepts(table.concat(support.ids(records), " "), info)) do
    local left = deadline - time.monotonic()
    if left <= 0 then
      error(("waited in vain for %s; there is: %s"):format(what,
        records and table.concat(support.ids(records), " ") or tostring(info)), 0)
    end
    records, info = watch:next(left)
  end
end

local function is_fresh(wanted)
  return function(ids, info) return ids == wanted and not info.stale end
end

--- The last answer stays as it was for as long as the servers are away.
local function stays(watch, wanted)
  local ends = time.monotonic() + AWAY
  while time.monotonic() < ends do
    local records, info = watch:last()
    local ids = table.concat(support.ids(records), " ")
    if ids ~= wanted or not info.stale then error(wanted .. " became " .. ids, 0) end
    watch:next(math.max(ends - time.monotonic(), 0))
  end
end

local function told(log, text)
  local times = 0
  for _, event in pairs(log.list) do
    if event.reason:find(text, 1, true) then times = times + 1 end
  end
  return times
end

local function survive(cluster, found, registrar, log)
  local watch <close> = found:watch "web"
  registrar_of.changed(registrar, instance "a")
  registrar_of.changed(registrar, instance "b")
  reach(watch, is_fresh "a b", BACK, "both instances")
  cluster.kill()
  reach(watch, function(_, info) return info.stale end, BACK, "the watch to know")
  local asked = watch.hub.asked
  registrar_of.changed(registrar, instance "c")
  registrar_of.changed(registrar, instance("b", "failing"))
  stays(watch, "a b")
  assert(watch.hub.asked - asked < 20 + AWAY, "it spins")
  cluster.start()
  reach(watch, is_fresh "a c", BACK, "the last state")
  support.wait_until(function() return told(log, "works again") == 1 end, BACK, "the event")
  local failures = told(log, "Cannot ")
  assert(failures >= 1 and failures <= 4, failures .. " failures were told")
end

local function go_through(cluster)
  local found = assert(discovery.open(cluster.keys))
  local log = events.new()
  local registrar = registrar_of.new({ discovery = found, node = "n", ttl = TTL, log = log })
  local running = task.spawn(registrar_of.run, registrar)
  local ok, problem = xpcall(survive, debug.traceback, cluster, found, registrar, log)
  registrar_of.close(registrar)
  if running:join(50) == nil then running:cancel() end
  found:close()
  return not ok and tostring(problem) or nil
end

local function cpu()
  return tonumber(assert(core.file.read("/proc/self/schedstat")):match "^%d+") / 1e9
end

describe("discovery", function()
  it("is there again when all servers were killed and came back, with what changed meanwhile",
    function()
      local running, made = {}, {}
      finally(function() for _, cluster in pairs(made) do cluster.stop() end end)
      for name, make in pairs(clusters) do made[name] = make() end
      local began, used = time.monotonic(), cpu()
      for name, cluster in pairs(made) do running[name] = task.spawn(go_through, cluster) end
      local problems = {}
      for name, one in pairs(running) do
        local problem = one:join()
        if problem then problems[#problems + 1] = name .. ": " .. problem end
      end
      assert.equal("", table.concat(problems, "\n"))
      assert.is_true(cpu() - used < (time.monotonic() - began) / 2, "nobody spins")
      if not next(made) then pending("there is no server: run .ci/peers.sh") end
    end)

  if AWAY < 60 then return end -- the rest takes a minute

  it("knows within a minute that its only Consul is frozen, and sees what it missed", function()
    if not consul.program() then return pending(select(2, consul.program())) end
    local server = consul.start()
    finally(function() server:stop() end)
    local found <close> = assert(discovery.open { backend = "consul",
      consulAddress = server.addresses })
    assert(found:register({ service = "web", id = "a", address = "127.0.0.1" }, 600))
    local watch <close> = found:watch "web"
    reach(watch, is_fresh "a", BACK, "the instance")
    time.sleep(1) -- the next question is under way
    server:freeze(1)
    reach(watch, function(_, info) return info.stale end, 40, "the watch to know")
    server:thaw(1)
    assert(found:register({ service = "web", id = "b", address = "127.0.0.1" }, 600))
    reach(watch, is_fresh "a b", BACK, "the last state")
  end)
end)
