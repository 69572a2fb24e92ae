--- consul -- real Consul servers on loopback ports of their own.
local support = require "support"
local peers = require "support.peers"
local core = require "orrery.core"
local lfs = require "lfs"

local M = {}

local READY = 30 -- seconds that servers get to elect a leader on a busy machine
M.master = "11111111-1111-1111-1111-111111111111"

--- The program, or nil and why there is none.
function M.program() return peers.find("consul") end

local Consul = {}
Consul.__index = Consul

-- ---- certificates ----

local EXTENSIONS = [[
subjectAltName=DNS:localhost,DNS:server.dc1.consul,IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth
keyUsage=digitalSignature
basicConstraints=CA:FALSE
]]

local MAKE = [[
cd '%s' && exec 2>/dev/null </dev/null
key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
for ca in ca other; do
  key $ca && openssl req -x509 -new -key $ca.key -days 2 -subj /CN=$ca -out $ca.pem || exit 1
done
for name in server client; do
  key $name && openssl req -new -key $name.key -subj /CN=$name -out $name.csr &&
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
      -extfile extensions -out $name.pem || exit 1
done]]

local function make_certificates(dir)
  support.write(dir .. "/extensions", EXTENSIONS)
  local result = assert(core.process.run { shell = MAKE:format(dir), timeout = 60 })
  assert(result.code == 0, result.stderr)
end

-- ---- starting and ending ----

local function free_ports(options)
  local ports = { serf_wan = -1, dns = -1, grpc = -1, https = -1 }
  for _, name in ipairs { "http", "server", "serf_lan", options.tls and "https" } do
    ports[name] = support.free_port()
  end
  return ports
end

local function config_of(self, number)
  local node, options = self.nodes[number], self.options
  local config = {
    node_name = "n" .. number, bind_addr = "127.0.0.1", client_addr = "127.0.0.1",
    ports = node.ports, log_level = "warn", disable_update_check = true,
    performance = { raft_multiplier = 1 },
  }
  if #self.nodes > 1 then
    config.server, config.bootstrap_expect = true, #self.nodes
    config.data_dir = self.dir .. "/" .. number
    config.retry_interval, config.retry_join = "500ms", {}
    for i, other in ipairs(self.nodes) do
      if i ~= number then
        table.insert(config.retry_join, "127.0.0.1:" .. other.ports.serf_lan)
      end
    end
  end
  if options.acl then
    config.acl = { enabled = true, default_policy = "deny", tokens = { master = M.master } }
  end
  if options.tls then
    config.ca_file, config.cert_file = self.dir .. "/ca.pem", self.dir .. "/server.pem"
    config.key_file, config.verify_incoming_https = self.dir .. "/server.key", true
  end
  return config
end

--- Starts a server that is down. A single one has lost its data by then.
function Consul:run(number)
  local node, path = self.nodes[number], self.dir .. "/" .. number .. ".json"
  support.write(path, core.json.encode(config_of(self, number)))
  -- It dies with us, whatever happens; setpriv and Consul keep the shell's pid.
  local line = "echo $$; exec env -u LD_PRELOAD -u ASAN_OPTIONS setpriv --pdeathsig KILL "
    .. "'%s' agent %s -config-file='%s' >>'%s/%d.log' 2>&1"
  node.pipe = assert(io.popen(line:format(M.program(), #self.nodes == 1 and "-dev" or "", path,
    self.dir, number)))
  node.pid = assert(tonumber(node.pipe:read("l")))
end

--- Ends a server at once, as a crash does.
function Consul:kill(number)
  local node = self.nodes[number]
  if not node.pipe then return end
  os.execute("kill -KILL " .. node.pid)
  node.pipe:close()
  node.pipe = nil
end

--- Freezes a server: it neither answers nor ends a connection.
function Consul:freeze(number) os.execute("kill -STOP " .. self.nodes[number].pid) end

function Consul:thaw(number) os.execute("kill -CONT " .. self.nodes[number].pid) end

--- Ends all and removes what they wrote.
function Consul:stop()
  for number = 1, #self.nodes do self:kill(number) end
  support.remove_tree(self.dir)
end

-- ---- talking to it ----

--- A request to its HTTP interface: the answer, its JSON. `options`: node (1), token, method, body
--- (a table is sent as JSON), timeout.
function Consul:request(path, options)
  options = options or {}
  local body = options.body
  if type(body) == "table" then body = core.json.encode(body) end
  local token = options.token or self.options.acl and M.master
  local answer, message = core.http.request {
    url = "http://" .. self.addresses[options.node or 1] .. path, body = body,
    method = options.method or (body and "PUT" or "GET"), timeout = options.timeout or 10,
    headers = token and { ["X-Consul-Token"] = token } or nil,
  }
  if not answer then return nil, message end
  return answer, (core.json.decode(answer.body))
end

--- As request(), and fails the test unless it is answered with 200.
function Consul:ask(path, options)
  local answer, json = self:request(path, options)
  assert(answer, json)
  assert(answer.status == 200, path .. ": " .. answer.status .. " " .. answer.body)
  return json
end

--- Puts, with a body that may be empty.
function Consul:put(path, body, options)
  options = options or {}
  options.method, options.body = "PUT", body
  return self:ask(path, options)
end

--- Waits until the server writes, which needs a leader.
function Consul:ready(number)
  support.wait_until(function()
    local answer = self:request("/v1/kv/ready", { node = number, body = "x", timeout = 2 })
    return answer and answer.status == 200
  end, READY, "a leader; see " .. self.dir)
end

--- The number of the server that leads.
function Consul:leader()
  for number in ipairs(self.nodes) do
    local _, leader = self:request("/v1/status/leader", { node = number, timeout = 2 })
    for i, node in ipairs(self.nodes) do
      if leader == "127.0.0.1:" .. node.ports.server then return i end
    end
  end
end

--- What the program itself says, such as cli("catalog", "services").
function Consul:cli(...)
  local argv = { M.program(), ... }
  argv[#argv + 1] = "-http-addr=" .. self.addresses[1]
  local code, out, err = support.run(argv)
  assert(code == 0, err)
  return out
end

--- A new token whose policy has these rules.
function Consul:token(rules)
  self.policies = (self.policies or 0) + 1
  local name = "p" .. self.policies
  self:put("/v1/acl/policy", { Name = name, Rules = rules })
  local token = self:put("/v1/acl/token", { Policies = { { Name = name } } })
  return token.SecretID, token.AccessorID
end

--- Opens our backend on it.
function Consul:open(options)
  local all = { consulAddress = self.addresses }
  for key, value in pairs(options or {}) do all[key] = value end
  return assert(core.discovery.open("consul", all))
end

--- Starts Consul and waits until it serves. options: nodes (1, in memory; 3: with a folder each),
--- acl (default deny, with the token M.master), tls (on ports of its own, client certificate
--- demanded; `secure` has the addresses, `dir` the certificates).
function M.start(options)
  local self = setmetatable({ nodes = {}, options = options or {}, addresses = {}, secure = {} },
    Consul)
  self.dir = os.tmpname()
  os.remove(self.dir)
  self.dir = (os.getenv("TMPDIR") or "/tmp") .. "/consul-" .. self.dir:match("[^_]+$")
  assert(lfs.mkdir(self.dir))
  if self.options.tls then make_certificates(self.dir) end
  for number = 1, self.options.nodes or 1 do
    local ports = free_ports(self.options)
    self.nodes[number] = { ports = ports }
    self.addresses[number] = "127.0.0.1:" .. ports.http
    self.secure[number] = "127.0.0.1:" .. ports.https
  end
  for number in ipairs(self.nodes) do self:run(number) end
  local ok, problem = pcall(self.ready, self)
  if not ok then
    local log = support.read(self.dir .. "/1.log")
    self:stop()
    error(("%s\n%s"):format(problem, log), 0)
  end
  return self
end

return M
