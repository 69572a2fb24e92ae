--- The consul backend where Consul asks who we are: ACLs that deny by default, and mutual TLS.
local support = require "support"
local consul = require "support.consul"
local core = require "orrery.core"
local task = core.task
local fails = support.fails

local RECORD = { service = "web", node = "edge", address = "127.0.0.1", port = 3000 }
local UNKNOWN = "22222222-1111-1111-1111-111111111111"

local missing = select(2, consul.program())

local function test(name, body)
  it(name, function()
    if missing then return pending(missing) end
    body()
  end)
end

describe("the consul backend under ACLs", function()
  local server
  setup(function() server = not missing and consul.start { acl = true } end)
  teardown(function() if server then server:stop() end end)

  test("says which right is missing, or that no token was sent", function()
    local backend <close> = server:open()
    fails("denied", "^127.0.0.1:%d+: Permission denied: Missing service:write on web; no token was "
      .. "sent: set consulToken or consulTokenFile", backend:register(RECORD, 60))
    fails("not_found", "register it", backend:renew("web", "web@edge"))
    fails("denied", "no token was sent", backend:kv_get "a/b")
    fails("denied", "Permission denied; the token needs key_prefix", backend:kv_put("a/b", "x"))
    fails("denied", "no token was sent", backend:lock "a/b")
    fails("denied", "may not read the service web: set consulToken", backend:lookup "web")
    fails("denied", "may not read all services: set consulToken", backend:services())
  end)

  test("says that a token is not known", function()
    local backend <close> = server:open { consulToken = UNKNOWN }
    for _, verb in ipairs { "lookup", "kv_get", "lock" } do
      fails("denied", "Consul does not know the token: it was revoked or is mistyped",
        backend[verb](backend, "web"))
    end
    fails("denied", "does not know the token", backend:register(RECORD, 60))
    fails("denied", "does not know the token", backend:services())
    assert.is_nil(select(2, backend:lookup "web"):find(UNKNOWN, 1, true), "a secret is not shown")
  end)

  test("works with the rights that it asks for", function()
    local token = server:token [[
      service "web" { policy = "write" } node_prefix "" { policy = "read" }
      key_prefix "spec/" { policy = "write" } session_prefix "" { policy = "write" } ]]
    local backend <close> = server:open { consulToken = token }
    assert.same({}, (backend:lookup "web"), "it may read, and there is nothing")
    assert(backend:register(RECORD, 60))
    assert.equal("web@edge", backend:lookup("web")[1].id)
    assert.same({ "web" }, backend:services())
    fails("denied", "Missing service:write on other; give the token a policy with that right",
      backend:register({ service = "other", address = "127.0.0.1", port = 1 }, 60))
    fails("denied", "the token may not read the service other", backend:lookup "other")
    local lock = assert(backend:lock "spec/lock")
    assert(backend:renew_lock(lock.lock))
    assert(backend:unlock("spec/lock", lock.lock))
    fails("denied", "Permission denied; the token needs key_prefix", backend:lock "other/lock")
    -- the answer does not wait until Consul has ended the session
    support.wait_until(function() return #server:ask "/v1/session/list" == 0 end)
    assert(backend:renew("web", "web@edge"))
    assert(backend:deregister("web", "web@edge"))
  end)

  test("tells an empty list from nodes that may not be read", function()
    local token = server:token 'service_prefix "" { policy = "write" }'
    local backend <close> = server:open { consulToken = token }
    assert.same({}, (backend:lookup "web"), "there is none on any node")
    assert(backend:register(RECORD, 60))
    support.wait_until(function() return server:ask("/v1/health/service/web")[1] end)
    fails("denied", "may not read its nodes; its policy needs", backend:lookup "web")
    assert(backend:deregister("web", "web@edge"))
  end)

  test("never takes a revoked token's empty list for the truth", function()
    local token, accessor = server:token [[
      service "web" { policy = "write" } node_prefix "" { policy = "read" } ]]
    local backend <close> = server:open { consulToken = token }
    assert(backend:register(RECORD, 60))
    local list, cursor = backend:lookup "web"
    assert.equal(1, #list)
    local watching = task.spawn(function() return backend:lookup("web", cursor, 30) end)
    fails("timeout", "timed out", watching:join(0.2))
    assert(server:request("/v1/acl/token/" .. accessor, { method = "DELETE" }))
    server:put("/v1/agent/service/register", { Name = "web", ID = "web@other", Port = 1 })
    fails("denied", "Consul does not know the token", watching:join(50))
    fails("denied", "Consul does not know the token", backend:renew("web", "web@edge"))
    for _, id in ipairs { "web@edge", "web@other" } do
      server:put("/v1/agent/service/deregister/" .. id, "")
    end
  end)

  test("reads the token's file each time, so that it can be replaced", function()
    local path = support.tmp() .. "/token"
    local backend <close> = server:open { consulTokenFile = path }
    fails("io", "consulTokenFile: .*/token: .*No such file", backend:lookup "web")
    support.write(path, "two words\n")
    fails("denied", "does not know the token", backend:lookup "web")
    support.write(path, "\n")
    fails("invalid", "holds no token", backend:lookup "web")
    support.write(path, consul.master .. "\n")
    assert.same({}, (backend:lookup "none"))
  end)
end)

describe("the consul backend over TLS", function()
  local server
  setup(function() server = not missing and consul.start { tls = true } end)
  teardown(function() if server then server:stop() end end)

  local function open(options)
    local all = { consulAddress = server.secure[1], consulEnableTLS = true }
    for key, name in pairs(options) do
      all[key] = key == "consulServerName" and name or server.dir .. "/" .. name
    end
    return assert(core.discovery.open("consul", all))
  end

  local CLIENT = { consulCaFile = "ca.pem", consulCertFile = "client.pem",
    consulKeyFile = "client.key" }

  test("shows a client certificate", function()
    local backend <close> = open(CLIENT)
    assert(backend:register(RECORD, 60))
    assert.equal(1, #backend:lookup "web")
    assert(backend:deregister("web", "web@edge"))
  end)

  test("says when the server demands one", function()
    local backend <close> = open { consulCaFile = "ca.pem" }
    fails("io", "does it demand a client certificate%? Then set consulCertFile and consulKeyFile",
      backend:lookup "web")
  end)

  test("does not talk to a server that it cannot verify", function()
    local wrong <close> = open { consulCaFile = "other.pem", consulCertFile = "client.pem",
      consulKeyFile = "client.key" }
    fails("io", "its TLS certificate is not accepted", wrong:lookup "web")
    local named <close> = open { consulCaFile = "ca.pem", consulCertFile = "client.pem",
      consulKeyFile = "client.key", consulServerName = "elsewhere.example" }
    fails("io", "its TLS certificate is not accepted", named:lookup "web")
    local good <close> = open { consulCaFile = "ca.pem", consulCertFile = "client.pem",
      consulKeyFile = "client.key", consulServerName = "server.dc1.consul" }
    assert.same({}, (good:lookup "web"))
  end)

  test("says when one of the two does not speak TLS", function()
    local backend <close> = core.discovery.open("consul", { consulAddress = server.secure[1] })
    fails("invalid", "Consul answered 400: Client sent an HTTP request to an HTTPS server",
      backend:lookup "web")
    local tls <close> = core.discovery.open("consul", { consulAddress = server.addresses[1],
      consulEnableTLS = true })
    fails("io", "127.0.0.1:%d+: ", tls:lookup "web")
  end)
end)

describe("the consul backend's options", function()
  local function refused(pattern, options)
    local backend, message, code = core.discovery.open("consul", options)
    fails("invalid", pattern, backend and pattern, message, code)
  end

  it("are checked when it is opened", function()
    refused('consulAddress: "a!b"', { consulAddress = { "a!b" } })
    refused("must be host:port", { consulAddress = "127.0.0.1:99999" })
    refused("must be host:port", { consulAddress = "ftp://127.0.0.1" })
    refused('"%*%*%*" must be', { consulAddress = "http://user:secret@127.0.0.1:8500" })
    refused("consulAddress: must be", { consulAddress = 8500 })
    refused("consulAddress: must be", { consulAddress = "" })
    refused("give one of the two", { consulToken = "x", consulTokenFile = "y" })
    refused("consulToken: must be one word", { consulToken = "x\r\nY: z" })
    refused("consulDatacenter: must be", { consulDatacenter = "dc&stale" })
    refused("consulKeyFile: is missing", { consulCertFile = "x" })
    refused("consulCertFile: is missing", { consulKeyFile = "x" })
    refused("consulAddress: .*must be host:port", { consulAddress = "http://127.0.0.1:1/x?y" })
    refused("consulConsistent: must be true or false", { consulConsistent = 1 })
    refused("consulStale and consulConsistent: give one of the two",
      { consulStale = true, consulConsistent = true })
    refused("consulStale: must be true or false", { consulStale = "yes" })
  end)

  it("take addresses in every form, and name the one that is meant", function()
    local port = support.free_port()
    local forms = { ("127.0.0.1:%d"):format(port), ("http://127.0.0.1:%d/"):format(port) }
    for _, form in ipairs(forms) do
      local backend <close> = core.discovery.open("consul", { consulAddress = form })
      local _, message, code = backend:lookup "web"
      assert.equal(("127.0.0.1:%d: connection refused"):format(port), message)
      assert.equal("refused", code)
    end
    local both <close> = core.discovery.open("consul",
      { consulAddress = ("127.0.0.1:%d, [::1]:%d"):format(port, port) })
    local _, message = both:lookup "web"
    assert.matches(("^127.0.0.1:%d: connection refused; %%[::1%%]:%d: %%w"):format(port, port),
      message) -- the machine may have no IPv6
    local default <close> = core.discovery.open("consul", { consulAddress = "nowhere.invalid" })
    assert.matches("^nowhere.invalid:8500: ", (select(2, default:lookup "web")))
  end)
end)
