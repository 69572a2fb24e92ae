--- Requests of every backend, given up at any moment, before servers that are dead or lie.
local support = require "support"
local core = require "orrery.core"
local restless = require "support.restless"
local servers = require "support.servers"

local discovery, task, time = core.discovery, core.task, core.time

local seed = math.tointeger(tonumber(os.getenv "ORRERY_SEED" or "")) or os.time()

-- What is in the place of the server: arguments of its script, by backend.
local WAYS = {
  consul = { script = "consul_hostile.py", "garbage", "half", "never", "no-index", "huge-index",
    "shapes", "leaderless", "empty", "wild", "late" },
  etcd = { script = "hostile_etcd.py", "garbage", "headerless", "kvs", "half", "close", "never",
    "good", "watch-garbage", "watch-half", "watch-end", "watch-events", "watch-cancel",
    "watch-compacted", "watch-status", "watch-silent", "late" },
  dns = { script = "hostile_dns.py", "servfail", "silent", "garbage", "loop", "half", "tcpsilent",
    "wrongid", "referral", "fuzz-1", "many" },
}

local function options(kind, address)
  if kind == "consul" then return { consulAddress = address, consulToken = "hush" } end
  if kind == "etcd" then return { etcdEndpoints = address } end
  if kind == "dns" then return { dnsDomain = "svc.test", dnsResolver = address } end
  if kind == "file" then return { filePath = support.tmp() } end
  return { envFile = support.tmp() .. "/env" }
end

local function rounds(kind, address, dice, count)
  local chosen = options(kind, address)
  for _ = 1, count do restless.round(assert(discovery.open(kind, chosen)), dice) end
end

describe(("requests that are given up (seed %d)"):format(seed), function()
  for kind, ways in pairs(WAYS) do
    for number, way in ipairs(ways) do
      it(("of %s, before a server that is: %s"):format(kind, way), function()
        local server = servers.start(ways.script, way)
        local ok, problem = pcall(rounds, kind, "127.0.0.1:" .. server.ports[1],
          restless.dice(seed + number), 8)
        server.stop()
        assert(ok, problem)
      end)
    end

    it(("of %s, where there is no server"):format(kind), function()
      rounds(kind, "127.0.0.1:1", restless.dice(seed), 8)
    end)

    it(("of %s, whose server dies meanwhile"):format(kind), function()
      local dice = restless.dice(seed)
      for _, way in ipairs { ways[1], ways[2], ways[#ways] } do
        local server = servers.start(ways.script, way)
        local backend = assert(discovery.open(kind, options(kind, "127.0.0.1:" .. server.ports[1])))
        local killer = task.spawn(function()
          time.sleep(dice(50) / 1000)
          server.stop()
        end)
        local ok, problem = pcall(restless.round, backend, dice)
        killer:join()
        assert(ok, problem)
      end
    end)
  end

  for _, kind in ipairs { "file", "env" } do
    it("of " .. kind, function() rounds(kind, nil, restless.dice(seed), 20) end)
  end
end)

describe(("a program that ends in the middle of it (seed %d)"):format(seed), function()
  local child_env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
    LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" }

  for number, kind in ipairs { "consul", "etcd", "dns", "file", "env" } do
    it("need not close what it opened: " .. kind, function()
      local ways = WAYS[kind]
      local server = ways and servers.start(ways.script, ways[#ways])
      local chosen = options(kind, server and "127.0.0.1:" .. server.ports[1])
      local dice = restless.dice(seed + number)
      for _ = 1, 3 do
        local code, out, err = support.run({ "lua5.4", "-e", ([[
          local restless = require "support.restless"
          local orrery = require "orrery"
          local dice = restless.dice(%d)
          backend = assert(orrery.discovery.open(%q, orrery.json.decode(%q)))
          restless.ask(backend, dice, 20)
          orrery.time.sleep(dice(40) / 1000)
          print "end"]]):format(dice(1 << 30), kind, core.json.encode(chosen)) },
          { env = child_env })
        assert.same({ 0, "end\n", "" }, { code, out, err })
      end
      if server then server.stop() end
    end)
  end
end)
