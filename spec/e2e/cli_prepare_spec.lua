-- `orrery init`, `secret` and `doctor`.
local core = require "orrery.core"
local support = require "support"

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

local STACK = [[return { name = "spec", stateDir = "state", services = {
  a = { exec = { "true" }, variables = {
    key = { type = "string", secret = true, generate = "hex:16" },
    root = { type = "string", secret = true, generate = "k256", rotate = false } },
    env = { KEY = "${key}", ROOT = "${root}", OTHER = secret { file = "/run/other" },
      NAMED = secret { generate = "base64:8", name = "shared" } } },
  b = { exec = { "true" }, env = { NAMED = secret { generate = "base64:8", name = "shared" } } },
} }]]

describe("orrery secret", function()
  local dir
  local function secret(...)
    local words = { "-f", dir, "secret", ... }
    return support.orrery(words)
  end
  local function set(name, value, ...)
    return support.orrery { "-f", dir, "secret", "set", name, input = value, ... }
  end
  local function kept(name) return dir .. "/state/secrets/" .. name end

  before_each(function()
    dir = support.tmp()
    support.write(dir .. "/stack.lua", STACK)
  end)

  it("lists where each comes from and who uses it, and no value", function()
    assert.equal(0, (set("a.key", "sesame\n")))
    local code, out = secret("list", "--json")
    assert.equal(0, code)
    local by_name = {}
    for _, item in ipairs(core.json.decode(out)) do by_name[item.name] = item end
    assert.is_true(by_name["a.key"].kept)
    assert.is_false(by_name["a.root"].kept)
    assert.is_false(by_name["a.root"].rotate)
    assert.same({ "a", "b" }, by_name.shared.services)
    assert.equal("file", by_name["services.a.env.OTHER"].source)
    assert.falsy(out:find("sesame", 1, true))
    local _, table_text = secret("list")
    has(table_text, "not made yet")
    assert.falsy(table_text:find("sesame", 1, true))
  end)

  it("sets one from the standard input, closed to others, and keeps the old one", function()
    assert.equal(0, (set("a.key", "one\n")))
    local code, out, err = set("a.key", "two\n")
    assert.equal(0, code)
    assert.equal("", out)
    has(err, "restart a")
    assert.equal("two\n", support.read(kept "a.key"))
    assert.equal("one\n", support.read(kept "a.key.old"))
    for _, name in ipairs { "a.key", "a.key.old" } do
      assert.equal(384, core.file.stat(kept(name)).mode & 511)
    end
  end)

  it("makes a new one of the same kind", function()
    assert.equal(0, (secret("rotate", "a.key")))
    local first = support.read(kept "a.key")
    assert.matches("^%x+\n$", first)
    assert.equal(33, #first)
    assert.equal(0, (secret("rotate", "a.key")))
    assert.not_equal(first, support.read(kept "a.key"))
  end)

  it("refuses to lose what others depend on, unless that is meant", function()
    assert.equal(0, (secret("rotate", "a.root")))
    local before = support.read(kept "a.root")
    local code, _, err = secret("rotate", "a.root")
    assert.equal(1, code)
    has(err, "--force")
    assert.equal(before, support.read(kept "a.root"))
    assert.equal(0, (secret("rotate", "a.root", "--force")))
    assert.not_equal(before, support.read(kept "a.root"))
  end)

  it("refuses what is no key, no secret of this stack, or not its own", function()
    local code, _, err = set("a.root", "abc")
    assert.equal(2, code)
    has(err, "64 hexadecimal digits")
    assert.is_false(support.exists(kept "a.root"))
    code, _, err = secret("rotate", "a.kei")
    assert.equal(2, code)
    has(err, 'did you mean "a.key"?')
    code, _, err = secret("rotate", "services.a.env.OTHER")
    assert.equal(2, code)
    has(err, "comes from file /run/other")
    assert.equal(2, (set("a.key", "")))
    assert.equal(2, (set("a.key", "two\nlines\n")))
  end)
end)

describe("orrery init", function()
  it("writes a stack that is valid, in both languages, and overwrites none", function()
    for _, format in ipairs { "lua", "yaml" } do
      local dir = support.tmp() .. "/new"
      local code, _, err = support.orrery { "init", "--dir", dir, "--format", format }
      assert.equal(0, code, err)
      has(err, "next: ")
      local valid, out, problems = support.orrery { "-f", dir, "validate" }
      assert.equal(0, valid, problems)
      has(out, "is valid")
      local again, _, refused = support.orrery { "init", "--dir", dir }
      assert.equal(1, again)
      has(refused, "is there already")
    end
  end)

  it("suggests a profile for one that is not there", function()
    local dir = support.tmp()
    local code, _, err = support.orrery { "init", "simple-pdx", "--dir", dir }
    assert.equal(2, code)
    has(err, "simple-pds")
    assert.same({}, core.file.list(dir))
  end)
end)

describe("orrery doctor", function()
  local function doctor(dir)
    local code, out = support.orrery { "-f", dir, "doctor", "--json" }
    local by_subject = {}
    for _, item in ipairs(core.json.decode(out)) do by_subject[item.subject] = item end
    return code, by_subject, out
  end

  local function stack(text)
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", "return { name = 'spec', stateDir = 'state', "
      .. "discovery = { filePath = 'discovery' }, services = {" .. text .. "} }")
    return dir
  end

  it("finds nothing wrong where nothing is", function()
    local user = core.process.user().name
    local dir = stack(("a = { exec = { 'true' }, user = '%s' }"):format(user))
    local code, found, out = doctor(dir)
    for _, subject in ipairs { "stack", "state folder", "secrets", "ports", "programs",
      "discovery" } do
      assert.equal("ok", found[subject] and found[subject].state, subject .. " in " .. out)
    end
    local user_ok = found.user.state == "ok"
    assert.equal(user_ok and 0 or 1, code)
    assert.is_false(support.exists(dir .. "/state"))
  end)

  it("names who has a port, a program that is missing, and an open secret", function()
    local port = support.free_port()
    local listener = assert(core.process.spawn { argv = { "python3", "-c", ("import socket,time;"
      .. "s=socket.socket();s.bind(('127.0.0.1',%d));s.listen();time.sleep(60)"):format(port) },
      env = core.process.environ() })
    support.wait_until(function() return not core.net.can_bind("127.0.0.1", port) end)
    local dir = stack(("a = { exec = { 'no-such-program' }, port = %d }"):format(port))
    assert(core.file.mkdir(dir .. "/state/secrets"))
    assert(core.file.write(dir .. "/state/secrets/x", "y", { mode = "0644" }))
    local code, found = doctor(dir)
    listener:kill()
    listener:wait()
    assert.equal(1, code)
    has(found["port of a"].message, ("pid %d"):format(listener.pid))
    has(found["program of a"].message, "no-such-program is not in the PATH")
    has(found.secrets.message, "others can read x")
  end)

  it("says that a backend does not answer", function()
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", ("return { name = 'spec', stateDir = 'state', "
      .. "services = { a = { exec = { 'true' } } }, "
      .. "discovery = { backend = 'consul', consulAddress = '127.0.0.1:%d' } }")
      :format(support.free_port()))
    local code, found = doctor(dir)
    assert.equal(1, code)
    has(found.discovery.message, "connection refused")
  end)

  it("reports a stack that is invalid, and still looks at the machine", function()
    local dir = stack("a = { prot = 1 }")
    local code, found = doctor(dir)
    assert.equal(1, code)
    has(found.stack.message, "prot")
    assert.equal("ok", found.orrery.state)
  end)

  it("needs no stack, but takes none that is broken for none", function()
    local dir = support.tmp()
    local function about_stack()
      local _, out = support.orrery { "doctor", "--json", cwd = dir }
      for _, item in ipairs(core.json.decode(out)) do
        if item.subject == "stack" then return item end
      end
    end
    assert.same({ "ok", "none here; name one with -f" },
      { about_stack().state, about_stack().message })
    support.write(dir .. "/stack.lua", "error 'the shelf holds no stack'")
    assert.equal("fail", about_stack().state)
  end)
end)
