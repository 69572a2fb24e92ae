-- The program over real servers: their own tools agree with what it registers, and `up` goes on
-- while they are away.
local agents = require "support.agents"
local consul = require "support.consul"
local core = require "orrery.core"
local dnsd = require "support.dnsd"
local etcd = require "support.etcd"
local support = require "support"

local json, orrery = core.json, support.orrery

local PORT = support.free_port() -- of what is registered
local LONG = 90 -- seconds that a server, or who waits for it, gets on a busy machine

local function joined(...)
  local words = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #words + 1, words) end
  return words
end

local function ok(words, expected)
  words.timeout = 60
  local code, out, err = orrery(words)
  assert.equal(expected or 0, code, out .. err)
  return out, err
end

--- Runs body(server) and stops the server, whatever happens.
local function with(server, body)
  local fine, problem = xpcall(body, debug.traceback, server)
  server:stop()
  if not fine then error(problem, 0) end
end

-- ---- servers: start() -> server, flags; sees(server, text): whether its own tool shows it ----

local function addresses(cluster) return table.concat(cluster.addresses, ",") end

local servers = {
  consul = {
    missing = function() return select(2, consul.program()) end,
    start = function()
      local server = consul.start()
      return server, { "--backend", "consul", "--consul-address", addresses(server) }
    end,
    sees = function(server)
      local listed = server:cli("catalog", "services"):find("pds", 1, true)
      local health = server:ask("/v1/health/service/pds?passing")
      local one = health[1]
      return listed and one and one.Service.Port == PORT and #health
    end,
  },
}
for name, program in pairs { bind = "named", knot = "knotd" } do
  servers[name] = {
    missing = function() return select(2, dnsd.find(name, program)) end,
    start = function()
      local dir = support.tmp()
      local server = require("support." .. name).start { dir = dir }
      return server, { "--backend", "dns", "--dns-resolver", server.address, "--dns-domain",
        "svc.test", "--dns-key-file", dnsd.key_files(dir).upd, "--dns-ttl", "1" }
    end,
    sees = function(server)
      local lines = dnsd.dig(server, "+short SRV _pds._tcp.svc.test")
      local at = lines[1] and lines[1]:match((" %d "):format(PORT))
      return at and #lines
    end,
  }
end
for _, version in ipairs { "34", "35" } do
  servers["etcd" .. version] = {
    missing = function() return select(2, etcd.program(version)) end,
    start = function()
      local server = etcd.start { version = version }
      return server, { "--backend", "etcd", "--etcd-endpoints", addresses(server) }
    end,
    sees = function(server)
      local text = server:ctl("get", "--prefix", "/atproto/services/pds/")
      local _, count = text:gsub('"port": ?' .. PORT, "")
      return count > 0 and count
    end,
  }
end

local PDS = { "register", "pds", "--address", "127.0.0.1", "--port", tostring(PORT),
  "--scheme", "http", "--tag", "atproto", "--tag", "pds", "--did", "did:web:x", "--meta", "k=v" }
local EDGE = { "--node", "edge" }

local function found(flags)
  local _, out = orrery(joined({ "discover", "pds", "--json" }, flags))
  local fine, list = pcall(json.decode, out)
  return fine and list or nil
end

local function reach(flags, count)
  local list
  support.wait_until(function()
    list = found(flags)
    return list and #list == count
  end, LONG, count .. " instances")
  return list
end

--- Starts `discover pds --watch --json`: the process, and lists(), what it has printed so far.
local function watch(flags)
  local log = support.tmp() .. "/watch"
  local words = joined({ support.binary(), "discover", "pds", "--watch", "--json" }, flags)
  local running = assert(core.process.spawn { argv = words, env = support.env(),
    log = { path = log } })
  return running, function()
    local lists, text = {}, support.exists(log) and support.read(log) or ""
    for line in text:gmatch(" out (%[.-%])\n") do lists[#lists + 1] = json.decode(line) end
    return lists, text
  end
end

for _, name in ipairs { "consul", "etcd34", "etcd35", "bind", "knot" } do
  local kind = servers[name]

  describe("the command line over " .. name, function()
    it("registers what the server's own tool shows, and takes it away", function()
      local missing = kind.missing()
      if missing then return pending(missing) end
      local server, flags = kind.start()
      with(server, function()
        ok(joined(PDS, EDGE, flags))
        support.wait_until(function() return kind.sees(server) == 1 end, LONG, "the server's tool")
        local record = reach(flags, 1)[1]
        assert.same({ "pds@edge", "edge", "127.0.0.1", PORT, "http", "did:web:x",
          { "atproto", "pds" }, { k = "v" } }, { record.id, record.node, record.address,
          record.port, record.scheme, record.did, record.tags, record.meta })
        local listed = ok(joined({ "services" }, flags))
        assert.truthy(listed:find("pds@edge", 1, true), listed)
        local env = ok(joined({ "env", "pds" }, flags))
        local url = ("ATPROTO_SERVICE_PDS_URL=http://127.0.0.1:%d\n"):format(PORT)
        assert.truthy(env:find(url, 1, true), env)
        ok(joined({ "deregister", "pds" }, EDGE, flags))
        support.wait_until(function() return not kind.sees(server) end, LONG, "it to be gone")
        reach(flags, 0)
      end)
    end)

    it("keeps a command registered while it runs", function()
      local missing = kind.missing()
      if missing then return pending(missing) end
      local server, flags = kind.start()
      local fifo = support.tmp() .. "/go"
      assert(os.execute("mkfifo " .. fifo))
      with(server, function()
        local script = ("read line <%s; exit 5"):format(fifo)
        local words = joined({ support.binary() }, PDS, { "--ttl", "10" }, flags,
          { "--", "sh", "-c", script })
        local running = assert(core.process.spawn { argv = words, env = support.env() })
        local fine, problem = pcall(function()
          support.wait_until(function() return kind.sees(server) == 1 end, LONG, "the record")
          local fifo_file <close> = assert(io.open(fifo, "w"))
          fifo_file:write("go\n")
        end)
        if not fine then running:kill() end
        local status = running:wait(LONG)
        assert(fine, problem)
        assert.same({ code = 5 }, status)
        support.wait_until(function() return not kind.sees(server) end, LONG, "it to be gone")
      end)
    end)
  end)
end

describe("a server that is away", function()
  it("is exit 4, with its address, the reason and what to do", function()
    local at = "127.0.0.1:" .. support.free_port()
    local flags = { consul = "--consul-address", etcd = "--etcd-endpoints",
      dns = "--dns-resolver" }
    for backend, flag in pairs(flags) do
      local place = { "--backend", backend, flag, at }
      local _, err = ok(joined(PDS, place), 4)
      local expected = ("Cannot register with discovery backend %s at %s: connection refused; ")
        :format(backend, at)
      assert.truthy(err:find(expected, 1, true), err)
      assert.truthy(err:find("Give its address with " .. flag, 1, true), err)
      _, err = ok(joined({ "discover", "pds" }, place), 4)
      assert.truthy(err:find(at .. ": connection refused", 1, true), err)
      ok(joined({ "services" }, place), 4)
      ok(joined({ "env" }, place), 4)
      ok(joined({ "deregister", "pds" }, place), 4)
      local marker = support.tmp() .. "/ran"
      ok(joined(PDS, place, { "--", "touch", marker }), 4)
      assert.falsy(support.exists(marker))
    end
  end)
end)

describe("a backend that is away while another is not", function()
  it("gets what is held as soon as it is there", function()
    local missing = servers.consul.missing()
    if missing then return pending(missing) end
    with(consul.start(), function(server)
      local place = { "--backend", "consul", "--consul-address", addresses(server) }
      local both = joined(place, { "--fallback", "file", "--file-path", support.tmp() .. "/d" })
      server:kill(1)
      local _, err = ok(joined(PDS, both), 4)
      assert.truthy(err:find("registered pds@%S+ with discovery backend file\n.*Cannot register "
        .. "with discovery backend consul at "), err)
      local log = support.tmp() .. "/log"
      local running = assert(core.process.spawn { env = support.env(), log = { path = log },
        argv = joined({ support.binary() }, PDS, EDGE, { "--ttl", "10", "--hold" }, both) })
      local fine, problem = pcall(function()
        local list = support.wait_until(function()
          local found_now = found(both)
          return found_now and found_now[2] and found_now
        end, LONG, "the fallback")
        assert.equal("file", list[2].source)
        server:run(1)
        server:ready(1)
        support.wait_until(function() return servers.consul.sees(server) == 1 end, LONG, "it")
      end)
      running:signal("TERM")
      assert.same({ code = 0 }, running:wait(LONG))
      assert(fine, problem)
      support.wait_until(function() return not servers.consul.sees(server) end, LONG, "its end")
      local said = support.read(log)
      assert.truthy(said:find("registered pds@edge with discovery backend file until", 1, true))
      local _, failures = said:gsub("Cannot register with discovery backend consul at ", "")
      local _, ends = said:gsub("discovery backend consul works again", "")
      assert.same({ 1, 1 }, { failures, ends }, said)
    end)
  end)
end)

-- ---- up ----

local function stack_text(discovery)
  local user = core.process.user().name
  return ("return { name = 'spec', stateDir = 'DIR/state', discovery = { %s, registrationTtl = 10 "
    .. "}, services = { pds = { type = 'process', exec = { 'sleep', '600' }, user = %q, "
    .. "port = %d, readyWhen = 'started' } } }"):format(discovery, user, PORT)
end

--- Runs `up` over a stack with this discovery while body(agent) runs.
local function with_up(discovery, body)
  local dir = support.tmp()
  support.write(dir .. "/stack.lua", (stack_text(discovery):gsub("DIR", dir)))
  local agent = agents.up(dir)
  local fine, problem = xpcall(body, debug.traceback, agent)
  local status = agent:down()
  if not status then agent.process:kill() end
  if not fine then error(problem .. "\n" .. agent:text("up.log"), 0) end
end

local function log_has(agent, text)
  support.wait_until(function() return agent:text("up.log"):find(text, 1, true) end, LONG,
    "the log to say: " .. text)
end

local function runs(agent)
  return agent:reach(function(list) return list.pds.state == "running" end, "pds to run").pds.pid
end

local clusters = {
  consul = {
    missing = servers.consul.missing, start = function() return consul.start() end,
    keys = function(c) return ("backend = 'consul', consulAddress = %q"):format(addresses(c)) end,
    back = function(c) c:run(1); c:ready() end,
  },
  etcd = {
    missing = servers.etcd35.missing, start = function() return etcd.start { version = "35" } end,
    keys = function(c) return ("backend = 'etcd', etcdEndpoints = %q"):format(addresses(c)) end,
    back = function(c) c:restart(1); c:wait_ready() end,
  },
}

for _, name in ipairs { "consul", "etcd" } do
  local kind = clusters[name]
  local sees = servers[name == "etcd" and "etcd35" or name].sees

  it("discover --watch goes on while its server is killed: " .. name, function()
    local missing = kind.missing()
    if missing then return pending(missing) end
    with(kind.start(), function(cluster)
      local flag = name == "consul" and "--consul-address" or "--etcd-endpoints"
      local flags = { "--backend", name, flag, addresses(cluster) }
      local running, lists = watch(flags)
      local function reach_list(what, accepts)
        support.wait_until(function()
          local all, text = lists()
          return all[1] and accepts(all[#all], text)
        end, LONG, what)
      end
      local fine, problem = pcall(function()
        reach_list("an empty list", function(last) return #last == 0 end)
        ok(joined(PDS, flags))
        reach_list("the instance", function(last) return last[1] and last[1].source == name end)
        cluster:kill(1)
        reach_list("the last known answer", function(last, text)
          return last[1] and last[1].source == "cache"
            and text:find("Cannot query discovery backend " .. name .. " at ", 1, true)
        end)
        kind.back(cluster)
        ok(joined(PDS, { "--id", "second" }, flags))
        reach_list("the last state", function(last, text)
          return last[#last] and last[#last].id == "second"
            and text:find("discovery backend " .. name .. " works again", 1, true)
        end)
      end)
      running:signal("TERM")
      assert.same({ signal = "TERM" }, running:wait(LONG))
      assert(fine, problem)
    end)
  end)

  describe("up with " .. name, function()
    it("goes on while the server is killed, and registers again", function()
      local missing = kind.missing()
      if missing then return pending(missing) end
      with(kind.start(), function(cluster)
        with_up(kind.keys(cluster), function(agent)
          local pid = runs(agent)
          support.wait_until(function() return sees(cluster) == 1 end, LONG, "the record")
          cluster:kill(1)
          log_has(agent, "Cannot renew the records of discovery backend " .. name)
          assert.equal(pid, runs(agent))
          kind.back(cluster)
          support.wait_until(function() return sees(cluster) == 1 end, LONG, "the record again")
          log_has(agent, ("discovery backend %s works again"):format(name))
          assert.equal(pid, runs(agent))
        end)
        assert.falsy(sees(cluster))
      end)
    end)

    it("starts while the server is away, and registers when it is there", function()
      local missing = kind.missing()
      if missing then return pending(missing) end
      with(kind.start(), function(cluster)
        cluster:kill(1)
        with_up(kind.keys(cluster), function(agent)
          runs(agent)
          log_has(agent, "Cannot register with discovery backend " .. name .. " at "
            .. cluster.addresses[1] .. ": connection refused")
          kind.back(cluster)
          support.wait_until(function() return sees(cluster) == 1 end, LONG, "the record")
        end)
      end)
    end)
  end)
end
