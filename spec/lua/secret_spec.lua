local support = require "support"
local core = require "orrery.core"
local secret = require "orrery.secret"

local dir, store

before_each(function()
  dir = support.tmp()
  store = secret.open(dir .. "/secrets")
end)

local function generated(kind, name) return secret.new { generate = kind, name = name or "a" } end

local function mode_of(path) return assert(core.file.stat(path)).mode & 511 end

describe("a secret", function()
  it("shows nothing", function()
    local value = secret.of("hunter2")
    assert.equal("***", tostring(value))
    assert.is_nil(next(value))
    assert.equal("secret", getmetatable(value))
    assert.has_error(function() return ("%d"):format(value) end)
    assert.has_error(function() return ("x"):rep(1, value .. "") end)
    assert.equal("***", ("%s"):format("x" .. value))
    assert.not_matches("hunter2", core.json.encode({ v = secret.redact(value) }))
  end)

  it("stays one when it is joined with text", function()
    local value = "postgresql://u:" .. secret.of("pw") .. "@h"
    assert.is_true(secret.is(value))
    assert.equal("postgresql://u:pw@h", secret.reveal(value))
    local open = "a" .. secret.new { env = "X" }
    assert.is_true(secret.is(open))
    local text, message = secret.reveal(open)
    assert.is_nil(text)
    assert.matches("has not been resolved", message)
  end)

  it("compares by what it stands for", function()
    assert.is_true(secret.of("a") == secret.of("a"))
    assert.is_false(secret.of("a") == secret.of("b"))
    assert.is_true(secret.new { file = "/a" } == secret.new { file = "/a" })
    assert.is_false(secret.new { file = "/a" } == secret.new { env = "a" })
    assert.is_true("x" .. secret.new { env = "A" } == "x" .. secret.new { env = "A" })
  end)

  it("refuses what cannot be one", function()
    for text, spec in pairs {
      ["give exactly one of"] = {}, ["give exactly one"] = { file = "a", env = "b" },
      ["generate needs a name"] = { generate = "hex:8" },
      ['"md5" is not one of hex:N'] = { generate = "md5", name = "a" },
      ['"hex:0" is not'] = { generate = "hex:0", name = "a" },
      ['"base64:2000" is not'] = { generate = "base64:2000", name = "a" },
      ['name: use letters'] = { generate = "k256", name = "../a" },
      ['unknown key "path"'] = { file = "a", path = "b" },
      ["file: expected a string"] = { file = 1 },
    } do
      assert.error_matches(function() secret.new(spec) end, text, 1, true)
    end
  end)

  it("is printed without its value in a copy of anything", function()
    local copy = secret.redact { a = { secret.of("x"), 1 }, b = "y" }
    assert.same({ a = { "***", 1 }, b = "y" }, copy)
  end)
end)

describe("the store", function()
  it("makes a value once, 0600, and keeps it", function()
    local first = assert(store:resolve(generated("hex:32")))
    assert.matches("^%x+$", first)
    assert.equal(64, #first)
    assert.equal(first, store:resolve(generated("hex:32")))
    assert.equal(first, secret.open(dir .. "/secrets"):resolve(generated("hex:32")))
    assert.equal(384, mode_of(dir .. "/secrets/a"))
    assert.equal(448, mode_of(dir .. "/secrets"))
    assert.not_equal(first, store:resolve(generated("hex:32", "b")))
  end)

  it("makes nothing before a value is asked for", function()
    assert.is_false(support.exists(dir .. "/secrets"))
  end)

  it("knows its kinds", function()
    assert.equal(2, #store:resolve(generated("hex:1", "h")))
    for size = 1, 6 do
      local text = store:resolve(generated("base64:" .. size, "b" .. size))
      assert.equal((size + 2) // 3 * 4, #text)
      assert.matches("^[%w+/]+=?=?$", text)
    end
    local key = store:resolve(generated("k256", "k"))
    assert.matches("^%x+$", key)
    assert.equal(64, #key)
    assert.is_true(key < "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
  end)

  it("reads a file, the environment and a command, without the last line end", function()
    support.write(dir .. "/f", "from file\n")
    assert.equal("from file", store:resolve(secret.new { file = dir .. "/f" }))
    assert.equal(os.getenv("PATH"), store:resolve(secret.new { env = "PATH" }))
    assert.equal("a b", store:resolve(secret.new { command = "echo a b" }))
    assert.equal("<from file>", store:resolve("<" .. secret.new { file = dir .. "/f" } .. ">"))
  end)

  it("says who needs what cannot be had, never a value", function()
    local function failure(spec)
      local text, message, code = store:resolve(secret.new(spec), "pds", "jwtSecret")
      assert.is_nil(text)
      assert.matches("^services.pds: jwtSecret: ", message)
      assert.is_string(code)
      return message
    end
    assert.matches(dir .. "/none", failure { file = dir .. "/none" }, 1, true)
    assert.matches("ORRERY_UNSET, which a secret is read from, is not set",
      failure { env = "ORRERY_UNSET" })
    assert.matches("exit code 3", failure { command = "echo geheim; exit 3" })
    assert.not_matches("geheim", (failure { command = "echo geheim; exit 3" }):gsub("%(.-%)", ""))
    support.write(dir .. "/empty", "\n")
    assert.matches("is empty", failure { file = dir .. "/empty" })
    support.write(dir .. "/notafolder", "x")
    store = secret.open(dir .. "/notafolder/secrets")
    failure { generate = "hex:8", name = "a" }
  end)

  it("gives two agents that make it at once the same value", function()
    local answers = core.task.queue()
    for _ = 1, 20 do
      core.task.spawn(function()
        answers:push(secret.open(dir .. "/secrets"):resolve(generated("hex:16", "shared")))
      end)
    end
    local first = assert(answers:pop(50))
    for _ = 2, 20 do assert.equal(first, answers:pop(50)) end
  end)

  it("gives two processes that make it at once the same value", function()
    local script = support.write(dir .. "/make.lua", [[
      local secret = require "orrery.secret"
      print(secret.open(arg[1]):resolve(secret.new { generate = "hex:16", name = "shared" }))]])
    local command = ("for i in 1 2 3 4; do lua5.4 %s %s/secrets & done; wait"):format(script, dir)
    local pipe = assert(io.popen(command))
    local seen, count = {}, 0
    for line in pipe:lines() do
      count, seen[line] = count + 1, true
    end
    pipe:close()
    assert.equal(4, count)
    local only = next(seen)
    assert.matches("^%x+$", only)
    assert.is_nil(next(seen, only))
  end)
end)
