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

describe("the type caddy", function()
  it("passes requests on to every instance that discovery has, and takes up new ones", function()
    local program, reason = peers.find("caddy", "caddy")
    if not program then return pending(reason) end
    local ports = {}
    for i = 1, 5 do ports[i] = support.free_port() end
    local services = ("caddy = { port = %d, ports = { http = %d, admin = %d }, user = %q, "
      .. "settings = { upstream = 'web', healthPath = '/' }, "
      .. "dependencies = { { name = 'web', discover = true } } },"):format(ports[1], ports[2],
      ports[3], user())
    for i, name in ipairs { "one", "two" } do
      services = services .. agents.service(name, ("exec python3 DIR/upstream.py %d %s")
        :format(ports[3 + i], name), ("port = %d, healthEndpoint = '/'"):format(ports[3 + i]))
    end
    local dir = agents.stack(services)
    support.write(dir .. "/upstream.py", UPSTREAM)

    local function register(name, port)
      local code, _, err = agents.handle(dir):orrery("register", "--address", "127.0.0.1",
        "--port", tostring(port), "--id", "web@" .. name, "web")
      assert.equal(0, code, err)
    end

    local function reach_answers(expected)
      local seen = {}
      support.wait_until(function()
        local answer = core.http.get(("http://localhost:%d/"):format(ports[2]), { timeout = 2 })
        if answer and answer.status == 200 then seen[answer.body] = true end
        for _, body in ipairs(expected) do if not seen[body] then return false end end
        return true
      end, 30, table.concat(expected, " and ") .. " through Caddy")
    end

    register("one", ports[4])
    agents.over(dir, function(agent)
      agent:reach(healthy "caddy", "caddy to be healthy")
      agent:reach(healthy "two", "the other to be healthy")
      reach_answers { "one" }
      register("two", ports[5])
      reach_answers { "one", "two" }
      assert.equal(("http://localhost:%d"):format(ports[2]), agent:state().caddy.url)
    end, path_with(program))
  end)
end)
