--- etcd -- real etcd servers of a test: one or three, of either version, on loopback ports that the
--- kernel chose, with their data in a folder of the test.
local core = require "orrery.core"
local peers = require "support.peers"
local support = require "support"

local M = {}

M.VERSIONS = { "34", "35" }

local READY = 30 -- seconds a server gets to answer
local TRIES = 3  -- a port may be taken between choosing and using it

--- The path of the server program of a version; nil and the reason if it is not there.
function M.program(version) return peers.find("etcd" .. version, "etcd") end

--- Makes an authority, and by it a certificate for a server on 127.0.0.1 and one for a client.
local function certificates(dir)
  local script = [[
    cd "$1" && unset LD_PRELOAD
    openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
      -subj /CN=spec -keyout ca.key -out ca.pem &&
    for name in server client; do
      openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=$name \
        -keyout $name.key -out $name.csr &&
      printf 'subjectAltName=DNS:etcd.test,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' \
        >ext && openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile ext -out $name.pem || exit 1
    done]]
  local result = assert(core.process.run { argv = { "sh", "-c", script, "sh", dir } })
  assert(result.code == 0, result.stderr)
  local tls = {}
  for _, name in ipairs { "ca", "client", "server" } do tls[name] = dir .. "/" .. name .. ".pem" end
  tls.client_key, tls.server_key = dir .. "/client.key", dir .. "/server.key"
  return tls
end

local function flags_of(cluster, node)
  local url = cluster.scheme .. "://" .. node.address
  local flags = { "--name", node.name, "--data-dir", node.dir,
    "--listen-client-urls", url, "--advertise-client-urls", url,
    "--listen-peer-urls", node.peer, "--initial-advertise-peer-urls", node.peer,
    "--initial-cluster", cluster.members, "--initial-cluster-token", cluster.dir,
    "--logger", "zap", "--log-level", "error" }
  if cluster.version == "35" then flags[#flags + 1] = "--unsafe-no-fsync" end
  local tls = cluster.tls
  if tls then
    for _, flag in ipairs { "--cert-file", tls.server, "--key-file", tls.server_key,
      "--client-cert-auth", "--trusted-ca-file", tls.ca } do flags[#flags + 1] = flag end
  end
  for _, flag in ipairs(cluster.flags or {}) do flags[#flags + 1] = flag end
  return flags
end

local function spawn(cluster, node)
  node.process = assert(core.process.spawn {
    argv = { cluster.program, table.unpack(flags_of(cluster, node)) },
    log = { path = ("%s/%s.log"):format(cluster.dir, node.name) } })
end

-- ---- talking to it, without the backend under test ----

local function base64(text)
  local result = {}
  local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local group = a << 16 | (b or 0) << 8 | (c or 0)
    for k, there in ipairs { true, true, b ~= nil, c ~= nil } do
      local digit = group >> (24 - 6 * k) & 63
      result[#result + 1] = there and digits:sub(digit + 1, digit + 1) or "="
    end
  end
  return table.concat(result)
end

local cluster_class = {}
cluster_class.__index = cluster_class

--- POSTs to the gateway: the answer's JSON and the HTTP status; nil and why. A field `key`,
--- `range_end` or `value` is given as plain text. options: node (1), token, timeout.
function cluster_class:call(path, body, options)
  options = options or {}
  local coded = {}
  for name, value in pairs(body) do
    local bytes = name == "key" or name == "range_end" or name == "value"
    coded[name] = bytes and base64(value) or value
  end
  local tls = self.tls
  local response, message = core.http.request {
    url = ("%s://%s/v3/%s"):format(self.scheme, self.nodes[options.node or 1].address, path),
    body = next(coded) and core.json.encode(coded) or "{}", timeout = options.timeout or 10,
    headers = options.token and { Authorization = options.token },
    tls = tls and { ca = tls.ca, cert = tls.client, key = tls.client_key } }
  if not response then return nil, message end
  return core.json.decode(response.body), response.status
end

--- Writes a key behind the backend's back.
function cluster_class:put(key, value, fields)
  local body = { key = key, value = value }
  for name, extra in pairs(fields or {}) do body[name] = extra end
  return assert(self:call("kv/put", body))
end

--- Runs etcdctl; its output without the last line end.
function cluster_class:ctl(...)
  local program = assert(peers.find("etcd" .. self.version, "etcdctl"))
  local argv = { program, "--endpoints", table.concat(self.addresses, ","), ... }
  local result = assert(core.process.run { argv = argv, env = { ETCDCTL_API = "3" } })
  return (result.stdout:gsub("\n$", "")), result
end

-- ---- life ----

local function answers(cluster, node)
  local answer = cluster:call("kv/range", { key = "ready" }, { node = node, timeout = 2 })
  return answer and (answer.header or answer.message and answer.message:find "user name is empty")
end

--- Waits until this node (default: each that runs) reads by agreement with the others.
function cluster_class:wait_ready(node)
  for i, one in ipairs(self.nodes) do
    if (not node or node == i) and one.process then
      support.wait_until(function()
        if one.process:wait(0) then error(table.concat(one.process:tail(), "\n"), 0) end
        return answers(self, i)
      end, READY, "etcd to answer")
    end
  end
end

--- SIGKILL, as if its machine had lost its power.
function cluster_class:kill(node)
  local process = self.nodes[node].process
  if not process then return end
  process:signal("CONT")
  process:kill()
  assert(process:wait(50))
  self.nodes[node].process = nil
end

--- Starts a killed node again, with the data it had.
function cluster_class:restart(node)
  spawn(self, self.nodes[node])
end

--- Freezes a node: it neither answers nor ends a connection.
function cluster_class:freeze(node) self.nodes[node].process:signal("STOP") end

function cluster_class:thaw(node) self.nodes[node].process:signal("CONT") end

function cluster_class:stop()
  for i in ipairs(self.nodes) do self:kill(i) end
end

--- The number of the node that leads.
function cluster_class:leader()
  return support.wait_until(function()
    for i, node in ipairs(self.nodes) do
      local status = node.process and self:call("maintenance/status", {}, { node = i })
      if status and status.leader and status.leader == status.header.member_id then return i end
    end
  end, READY, "etcd to have a leader")
end

--- Makes the users root (password "root") and app (password "app"), who may use /atproto/ only.
function cluster_class:enable_auth()
  local function admin(path, body) assert(select(2, self:call("auth/" .. path, body)) == 200) end
  local all = { permType = "READWRITE", key = base64 "/atproto/", range_end = base64 "/atproto0" }
  for _, name in ipairs { "root", "app" } do
    admin("user/add", { name = name, password = name })
    admin("role/add", { name = name })
    if name == "app" then admin("role/grant", { name = name, perm = all }) end
    admin("user/grant", { user = name, role = name })
  end
  admin("enable", {})
end

--- A token of one of these users.
function cluster_class:token(name)
  return assert(assert(self:call("auth/authenticate", { name = name, password = name })).token)
end

--- Opens our backend on it.
function cluster_class:open(options)
  local all = { etcdEndpoints = self.addresses }
  for key, value in pairs(options or {}) do all[key] = value end
  return assert(core.discovery.open("etcd", all))
end

local function layout(cluster, count)
  local members = {}
  cluster.nodes, cluster.addresses = {}, {}
  for i = 1, count do
    local address = "127.0.0.1:" .. support.free_port()
    local node = { name = "n" .. i, address = address, dir = cluster.dir .. "/n" .. i,
      peer = "http://127.0.0.1:" .. support.free_port() }
    cluster.nodes[i], cluster.addresses[i] = node, address
    members[i] = node.name .. "=" .. node.peer
  end
  cluster.members = table.concat(members, ",")
end

local function try_start(cluster, count)
  cluster.dir = support.tmp()
  layout(cluster, count)
  if cluster.wants_tls then cluster.tls = certificates(cluster.dir) end
  for _, node in ipairs(cluster.nodes) do spawn(cluster, node) end
  local ok, message = pcall(cluster.wait_ready, cluster)
  if not ok then cluster:stop() end
  return ok, message
end

--- Starts servers: options are version ("34" or "35"), nodes (1 or 3), tls, flags (of the server).
--- Call stop() at the end of the test.
function M.start(options)
  local cluster = setmetatable({ version = options.version, flags = options.flags,
    program = assert(M.program(options.version)), wants_tls = options.tls,
    scheme = options.tls and "https" or "http" }, cluster_class)
  local ok, message
  for _ = 1, TRIES do
    ok, message = try_start(cluster, options.nodes or 1)
    if ok then return cluster end
  end
  error(message, 2)
end

return M
