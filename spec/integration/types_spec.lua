--- Service types of neighbours, started as a user starts them.
local agents = require "support.agents"
local core = require "orrery.core"
local peers = require "support.peers"
local support = require "support"

local function healthy(name)
  return function(instances) return instances[name] and instances[name].health == "passing" end
end

--- Two upstreams, each of which answers with its name.
local UPSTREAM = [[
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
]]

local function path_with(program)
  return { PATH = program:match "^(.*)/" .. ":" .. os.getenv "PATH" }
end

local function user() return core.process.user().name end

describe("the type redis", function()
  it("is healthy when Redis answers", function()
    local program, reason = peers.find("redis", "redis-server")
    if not program then return pending(reason) end
    local text = "redis = { port = %d, user = %q, env = { LD_LIBRARY_PATH = %q } }"
    agents.with(text:format(support.free_port(), user(), peers.library_folder "redis"),
      function(agent)
        agent:reach(healthy "redis", "redis to be healthy")
      end, "", path_with(program))
  end)
end)

--- Programs as they are found in PATH, with the libraries that came with them.
local function programs(dir, peer, names)
  assert(core.file.mkdir(dir .. "/bin"))
  for _, name in ipairs(names) do
    local path, reason = peers.find(peer, name)
    if not path then return nil, reason end
    support.write(dir .. "/bin/" .. name, ("#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s \"$@\"\n")
      :format(peers.library_folder(peer), path))
    assert(core.file.chmod(dir .. "/bin/" .. name, "0755"))
  end
  return { PATH = dir .. "/bin:" .. os.getenv "PATH" }
end

local function register(dir, service, name, port)
  local code, _, err = agents.handle(dir):orrery("register", "--address", "127.0.0.1",
    "--port", tostring(port), "--id", service .. "@" .. name, service)
  assert.equal(0, code, err)
end

local function reach_answers(port, expected)
  local seen = {}
  support.wait_until(function()
    local answer = core.http.get(("http://localhost:%d/"):format(port), { timeout = 2 })
    if answer and answer.status == 200 then seen[answer.body] = true end
    for _, body in ipairs(expected) do if not seen[body] then return false end end
    return true
  end, 30, table.concat(expected, " and ") .. " through the proxy")
end

-- Each with its ports: the first is where it serves http.
local PROXIES = {
  caddy = { ports = "port = %2$d, ports = { http = %1$d, admin = %3$d }",
    settings = "upstream = 'web', healthPath = '/'" },
  nginx = { ports = "port = %1$d", settings = "upstream = 'web'" },
  haproxy = { ports = "port = %1$d", settings = "upstream = 'web', healthPath = '/'" },
}

for type_name, proxy in pairs(PROXIES) do
  describe("the type " .. type_name, function()
    it("passes requests on to every instance that discovery has, and takes up new ones", function()
      local ports = {}
      for i = 1, 5 do ports[i] = support.free_port() end
      local own = proxy.ports:gsub("%%(%d)%$d", function(n) return tostring(ports[tonumber(n)]) end)
      local services = ("%s = { %s, user = %q, settings = { %s }, "
        .. "dependencies = { { name = 'web', discover = true } } },"):format(type_name, own, user(),
        proxy.settings)
      for i, name in ipairs { "one", "two" } do
        services = services .. agents.service(name, ("exec python3 DIR/upstream.py %d %s")
          :format(ports[3 + i], name), ("port = %d, healthEndpoint = '/'"):format(ports[3 + i]))
      end
      local dir = agents.stack(services)
      support.write(dir .. "/upstream.py", UPSTREAM)
      local env, reason = programs(dir, type_name, { type_name })
      if not env then return pending(reason) end
      register(dir, "web", "one", ports[4])
      agents.over(dir, function(agent)
        local before = agent:reach(healthy(type_name), type_name .. " to be healthy")
        agent:reach(healthy "two", "the other to be healthy")
        reach_answers(ports[1], { "one" })
        register(dir, "web", "two", ports[5])
        reach_answers(ports[1], { "one", "two" })
        local after = agent:state()[type_name]
        assert.equal(before[type_name].pid, after.pid)
        assert.equal(("http://localhost:%d"):format(ports[1]), after.url)
      end, env)
    end)
  end)
end

describe("the type prometheus", function()
  it("collects from what its jobs name, and takes up new instances", function()
    local port = support.free_port()
    local dir = agents.stack(("prometheus = { port = %d, user = %q, settings = { jobs = { web = "
      .. "{ port = 1 } } }, dependencies = { { name = 'web', discover = true, type = 'soft' } } }")
      :format(port, user()))
    local env, reason = programs(dir, "prometheus", { "prometheus", "promtool" })
    if not env then return pending(reason) end
    register(dir, "web", "one", 1)
    local function reach_targets(count)
      support.wait_until(function()
        local answer = core.http.get(("http://127.0.0.1:%d/api/v1/targets"):format(port),
          { timeout = 5 })
        local value = answer and core.json.decode(answer.body)
        return value and #value.data.activeTargets == count
      end, 60, count .. " targets")
    end
    agents.over(dir, function(agent)
      agent:reach(healthy "prometheus", "Prometheus to be ready")
      reach_targets(2) -- itself is one
      register(dir, "web", "two", 1)
      reach_targets(3)
    end, env)
  end)
end)
