-- Discovery backends written in Lua: a good one, and what bad ones lead to.
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local servers = require "support.servers"
local support = require "support"

local task, time = core.task, core.time
local record = support.record

--- Opens the backend whose file has this text; `how` and further keys as discovery.open() has them.
local function with_text(dir, text, keys, how)
  support.write(dir .. "/it.lua", text)
  local all = { backend = "./it.lua" }
  for key, value in pairs(keys or {}) do all[key] = value end
  how = how or {}
  how.dir = dir
  return discovery.open(all, how)
end

--- The file of a backend with these verbs.
local function verbs(text)
  return "return { open = function(ctx) return { " .. text .. " } end }"
end

local function fails(pattern, code, value, message, got)
  assert.is_nil(value)
  assert.matches(pattern, message)
  assert.equal(code, got)
end

describe("the backend of the manual, over a key store", function()
  local server, found
  before_each(function()
    server = servers.start("key_store.py", "0")
    found = assert(discovery.open({ backend = "./keystore.lua",
      options = { url = "http://127.0.0.1:" .. server.ports[1] } },
      { dir = support.root .. "/spec/support/backends" }))
  end)
  after_each(function()
    found:close()
    server.stop()
  end)

  it("registers, renews, finds, lists and deregisters", function()
    assert.equal("keystore", found.kind)
    assert(found:register(record { tags = { "a" }, meta = { zone = "eu" }, did = "did:web:x" }, 60))
    assert(found:register(record { service = "plc", id = "plc@edge" }, 0))
    assert.same({ { service = "pds", id = "pds@edge", node = "edge", address = "127.0.0.1",
      port = 3000, tags = { "a" }, meta = { zone = "eu" }, did = "did:web:x", status = "passing",
      revision = 0, source = "keystore" } }, (found:lookup "pds"))
    assert.same({ "pds", "plc" }, found:services())
    assert(found:renew("pds", "pds@edge"))
    fails("is not registered", "not_found", found:renew("pds", "pds@other"))
    assert(found:deregister("pds", "pds@edge"))
    assert.same({}, (found:lookup "pds"))
    fails("no locks; use consul or etcd", "invalid", found:lock "/a")
    fails("no keys and values", "invalid", found:kv_get "/a")
    fails("cannot register: port: must be", "invalid", found:register(record { port = 70000 }))
  end)

  it("waits for changes, and drops what has expired", function()
    local _, cursor = found:lookup "pds"
    local waiting = task.spawn(function() return found:lookup("pds", cursor, 30) end)
    assert(found:register(record(), 1))
    local records
    records, cursor = waiting:join(30)
    assert.equal(1, #records)
    assert.same({}, (found:lookup("pds", cursor, 30)))
  end)

  it("answers many at once", function()
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = task.spawn(function()
        assert(found:register(record { id = "pds-" .. i }, 60))
        return #found:lookup "pds"
      end)
    end
    for i = 1, 50 do assert.is_true(tasks[i]:join(30) >= 1) end
    assert.equal(50, #found:lookup "pds")
  end)
end)

describe("the backend of the README", function()
  it("is a whole one", function()
    local server = servers.start("key_store.py", "0")
    finally(function() server.stop() end)
    local readme = support.read(support.root .. "/lua/orrery/discovery/README.md")
    local text = readme:match("```lua\n(return {%s+%-%- backends/store.lua\n.-)```")
    local found <close> = assert(with_text(support.tmp(), text,
      { options = { url = "http://127.0.0.1:" .. server.ports[1] }, healthCheckInterval = 1 }))
    assert.same({}, found:services())
    assert(found:register(record(), 60))
    assert(found:renew("pds", "pds@edge"))
    fails("is not registered", "not_found", found:renew("pds", "other"))
    assert.same({ "pds" }, found:services())
    local watch <close> = found:watch "pds"
    assert.equal(3000, watch:next(30)[1].port)
    assert(found:register(record { port = 3001 }, 60))
    assert.equal(3001, watch:next(30)[1].port)
    assert(found:deregister("pds", "pds@edge"))
    assert.same({}, (found:lookup "pds"))
  end)
end)

describe("a backend in Lua", function()
  local dir
  before_each(function() dir = support.tmp() end)

  it("is refused when its file is none", function()
    fails("it.lua: a backend is a table with the function open", "invalid",
      with_text(dir, "return 5"))
    fails("it.lua: a backend is a table", "invalid", with_text(dir, "return { open = 1 }"))
    fails("it.lua:2: .*=", "invalid", with_text(dir, "return {\n = }"))
    fails("it.lua:1: boom", "invalid", with_text(dir, "error 'boom'"))
    fails("it.lua:1: .*io is not available here", "invalid", with_text(dir, "return io.open"))
    fails('it.lua: capabilities: "watsch" is not one of', "invalid",
      with_text(dir, "return { capabilities = { watsch = true }, open = function() end }"))
    fails("there is no backend at", "invalid", discovery.open({ backend = "./none.lua" },
      { dir = dir }))
    fails('discovery.options.ulr: .*it.lua has no option "ulr"; did you mean "url"', "invalid",
      with_text(dir, "return { options = { url = '' }, open = function() end }",
        { options = { ulr = "x" } }))
  end)

  it("is found by name, and gets its options over their defaults", function()
    core.file.mkdir(dir .. "/backends", "0755")
    support.write(dir .. "/backends/mine.lua", [[return { options = { a = 1, b = 2, password = "" },
      open = function(ctx, options)
        return { services = function()
          return { "a" .. options.a, "b" .. options.b, options.password }
        end }
      end }]])
    support.write(dir .. "/password", "hush\n")
    local secret = require "orrery.secret"
    local found <close> = assert(discovery.open({ backend = "mine",
      options = { b = 3, password = secret.new { file = dir .. "/password" } } }, { dir = dir }))
    assert.equal("mine", found.kind)
    assert.same({ "a1", "b3", "hush" }, found:services())
  end)

  it("that raises gives an error with file and line", function()
    local found <close> = assert(with_text(dir, verbs [[

      lookup = function() local x = nil; return x.y end,
      services = function() error("no", 0) end,
      register = function() return nil, "sorry", "refused" end,
      renew = function() return nil end,
      deregister = function() return nil, {}, {} end,
    ]]))
    fails("it.lua:2: attempt to index a nil value", "io", found:lookup "pds")
    fails("it.lua: no", "io", found:services())
    fails("^Cannot register with discovery backend it: sorry", "refused", found:register(record()))
    fails("it.lua: renew failed without a message", "bad_reply", found:renew("a", "b"))
    fails("^Cannot deregister from", "io", found:deregister("a", "b"))
  end)

  it("that answers nonsense is not believed", function()
    local cases = {
      lookup = { "5", "'x'", "{ 5 }", "{ {} }", "{ { port = 1 } }", "{ a = 1 }", "{ nil, {} }",
        "{ { address = 'a b' } }", "{ { service = 'x', address = 'a' } }", "true",
        "{ { address = 'a', meta = { f = pairs } } }" },
      services = { "5", "{ 5 }", "{ '../x' }", "{ a = 1 }" },
      register = { "5", "{}", "'ok'", "false" },
      lock = { "5", "{}", "{ lock = 1, token = 1 }", "{ lock = 'a', token = 'b' }" },
      kv_get = { "5", "{}", "{ value = 5, revision = 1 }" },
      kv_put = { "true", "'5'", "5.5" },
    }
    for verb, answers in pairs(cases) do
      for _, answer in ipairs(answers) do
        local found <close> = assert(with_text(dir, ([[
          return { capabilities = { lock = true, kv = true }, open = function()
            return { %s = function() return %s end }
          end }]]):format(verb, answer)))
        local argument = verb == "register" and record() or verb == "lookup" and "pds" or "/a"
        local _, message, code = found[verb](found, argument, "x")
        assert.matches("it.lua: " .. verb .. " gave no ", message, verb .. " " .. answer)
        assert.equal("bad_reply", code)
      end
    end
    local found <close> = assert(with_text(dir, [[return { capabilities = { watch = true },
      open = function() return { lookup = function() return {}, 5 end } end }]]))
    fails("gave no cursor", "bad_reply", found:lookup "pds")
  end)

  it("whose open fails is opened again", function()
    local path = dir .. "/ready"
    local found <close> = assert(with_text(dir, ([[return { open = function(ctx)
      if not ctx.file.stat(%q) then return nil, "h:1: connection refused", "refused" end
      return { services = function() return { "a" } end }
    end }]]):format(path)))
    fails("^Cannot query discovery backend it at h:1: connection refused", "refused",
      found:services())
    support.write(path, "")
    assert.same({ "a" }, found:services())
    fails("has no function renew", "invalid", found:renew("a", "b"))
    local none <close> = assert(with_text(dir, "return { open = function() return 5 end }"))
    fails("it.lua: open gave no table with the verbs", "bad_reply", none:services())
  end)

  it("is opened once for all who ask at the same time", function()
    local found <close> = assert(with_text(dir, [[local opened = 0
      return { open = function(ctx)
        ctx.time.sleep(0.1)
        opened = opened + 1
        return { services = function() return { "a" .. opened } end }
      end }]]))
    local tasks = {}
    for n = 1, 10 do tasks[n] = task.spawn(function() return found:services() end) end
    for n = 1, 10 do assert.same({ "a1" }, tasks[n]:join(50)) end
    local closing = assert(with_text(dir,
      "return { open = function(ctx) ctx.time.sleep(1e6) end }"))
    local waiting = task.spawn(function() return closing:services() end)
    time.sleep(0.05)
    closing:close()
    fails("closed", "closed", waiting:join(50))
  end)

  it("that computes for ever is stopped, and others go on", function()
    local found <close> = assert(with_text(dir, verbs [[
      lookup = function() while true do end end,
      services = function() return { "a" } end,
    ]]))
    local began = time.monotonic()
    fails("it.lua", "io", found:lookup "pds")
    assert.is_true(time.monotonic() - began < 40)
    assert.same({ "a" }, found:services())
  end)

  it("that never answers ends with its discovery", function()
    local found = assert(with_text(dir, [[return { open = function(ctx)
      return { lookup = function() ctx.time.sleep(1e6) end }
    end }]]))
    local waiting = task.spawn(function() return found:lookup "pds" end)
    time.sleep(0.05)
    found:close()
    fails("closed", "closed", waiting:join(50))
    fails("closed", "closed", found:lookup "pds")
  end)

  it("has locks and keys if it says so", function()
    local found <close> = assert(with_text(dir, [[
      return { capabilities = { lock = true, kv = true }, open = function()
        local values, revision = {}, 0
        return {
          lock = function(_, key, options)
            return { lock = key .. options.value .. options.ttl, token = 7 }
          end,
          renew_lock = function(_, lock) return nil, "it is lost", "not_found" end,
          unlock = function() return true end,
          kv_get = function(_, key) return { value = values[key], revision = revision }, "1" end,
          kv_put = function(_, key, value, wanted)
            if wanted and wanted ~= revision then return nil, "another revision", "exists" end
            values[key], revision = value, revision + 1
            return revision
          end,
          kv_delete = function(_, key) values[key] = nil return true end,
        }
      end }]]))
    assert.same({ lock = "/av15", token = 7 }, found:lock("/a", { value = "v" }))
    fails("it is lost", "not_found", found:renew_lock "x")
    assert.is_true(found:unlock("/a", "x"))
    assert.equal(1, found:kv_put("/a", "x", 0))
    fails("another revision", "exists", found:kv_put("/a", "y", 0))
    local got, cursor = found:kv_get "/a"
    assert.same({ value = "x", revision = 1 }, got)
    assert.equal("1", cursor)
    assert.is_true(found:kv_delete "/a")
  end)
end)
