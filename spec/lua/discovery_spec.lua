-- What a stack's `discovery` means, and the verbs over it.
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local options_of = require "orrery.discovery.options"
local schema = require "orrery.schema"
local support = require "support"
local record = support.record

describe("the keys of discovery", function()
  it("are those that the engine's backends read", function()
    local engine = options_of.engine_keys()
    local kinds = table.concat(core.discovery.kinds(), " ")
    for key, field in pairs(schema.discovery.fields) do
      local owner = field.of_backend
      if owner and kinds:find(owner, 1, true) then assert.equal(owner, engine[key], key) end
    end
    for key, kind in pairs(engine) do
      assert.equal(kind, (schema.discovery.fields[key] or {}).of_backend, key)
    end
  end)

  it("are given to their backend only, with defaults and paths", function()
    local given = { backend = "consul", consulCaFile = "ca.pem", consulKeyFile = "/k",
      filePath = "d", consulStale = false }
    assert.same({ consulAddress = "127.0.0.1:8500", consulCaFile = "/s/ca.pem",
      consulKeyFile = "/k", consulStale = false }, options_of.of(given, "consul", "/s"))
    assert.same({ filePath = "/s/d" }, options_of.of(given, "file", "/s"))
    assert.same({ filePath = "d" }, options_of.of(given, "file"))
    assert.same({ "file" }, options_of.chain {})
    assert.same({ "consul", "file" },
      options_of.chain { backend = "consul", fallback = { "file" } })
  end)
end)

describe("discovery.open", function()
  it("opens what plain options name, and gives the verbs", function()
    local dir = support.tmp()
    local found <close> = assert(discovery.open({ backend = "file", filePath = "d" },
      { dir = dir }))
    assert.equal("file", found.kind)
    assert.same({ watch = true, lock = false, kv = false }, found.capabilities)
    assert(found:register(record(), 60))
    assert.is_truthy(support.exists(dir .. "/d/pds.json"))
    local records, cursor = found:lookup "pds"
    assert.equal("file", records[1].source)
    local waiting = core.task.spawn(function() return found:lookup("pds", cursor, 30) end)
    assert(found:register(record { id = "pds-2@edge" }, 60))
    assert.equal(2, #waiting:join(30))
    assert.same({ "pds" }, found:services())
    assert(found:renew("pds", "pds@edge"))
    assert(found:deregister("pds", "pds@edge"))
    local _, message, code = found:renew("pds", "pds@edge")
    assert.matches("not registered", message)
    assert.equal("not_found", code)
    _, message, code = found:lock "/a"
    assert.matches("no locks", message)
    assert.equal("invalid", code)
  end)

  it("says in one sentence whom it could not reach", function()
    local told = discovery.failure
    assert.equal("Cannot register with discovery backend consul at 127.0.0.1:8500: connection "
      .. "refused", told("register with", "consul", "127.0.0.1:8500: connection refused"))
    assert.equal("Cannot list discovery backend etcd at [::1]:2379: timed out",
      told("list", "etcd", "[::1]:2379: timed out"))
    assert.equal("Cannot list discovery backend etcd at https://a.b:2379: timed out",
      told("list", "etcd", "https://a.b:2379: timed out"))
    assert.equal("Cannot list discovery backend file: /a/.lock: Read-only",
      told("list", "file", "/a/.lock: Read-only"))
    local dir = support.tmp()
    local found <close> = assert(discovery.open { backend = "file", filePath = dir .. "/d" })
    support.remove_tree(dir .. "/d")
    support.write(dir .. "/d", "in the way")
    local _, message = found:lookup "pds"
    assert.matches("^Cannot query discovery backend file: cannot list", message)
    _, message = found:register(record(), 60)
    assert.matches("^Cannot register with discovery backend file: ", message)
    local _, plain, code = found:register({ service = "x" }, 60)
    assert.equal("cannot register: address: is missing", plain)
    assert.equal("invalid", code)
  end)

  it("resolves secrets, and names what cannot be had", function()
    local dir = support.tmp()
    local secret = require "orrery.secret"
    support.write(dir .. "/path", dir .. "/from-secret\n")
    local found <close> = assert(discovery.open { backend = "file",
      filePath = secret.new { file = dir .. "/path" } })
    assert(found:register(record(), 60))
    assert.is_truthy(support.exists(dir .. "/from-secret/pds.json"))
    local _, message = discovery.open { backend = "file",
      filePath = secret.new { file = dir .. "/none" } }
    assert.matches("discovery backend file: discovery.filePath: .*none", message)
  end)
end)
