-- How rendered files reach the disk: backups, owners and modes that stay, guards, and how changes
-- are taken up.
local core = require "orrery.core"
local guard = require "orrery.render.guard"
local output = require "orrery.render.output"
local support = require "support"

local function file(path, text, fields)
  local result = { path = path, text = text, mode = 416, backups = 1 }
  for key, value in pairs(fields or {}) do result[key] = value end
  return result
end

local function mode_of(path) return core.file.stat(path).mode & 511 end

describe("a written file", function()
  it("leaves the ones before it beside it, as many as are wanted", function()
    local path = support.tmp() .. "/a"
    for n = 1, 5 do assert.is_true(output.write(file(path, "text " .. n, { backups = 3 }))) end
    assert.same({ "a", "a.bak", "a.bak.2", "a.bak.3" }, core.file.list(path:match("^(.*)/")))
    assert.equal("text 4", support.read(path .. ".bak"))
    assert.equal("text 2", support.read(path .. ".bak.3"))
  end)

  it("tells what was there before, and keeps no backup of what is the same", function()
    local path = support.tmp() .. "/a"
    assert.same({ true }, { output.write(file(path, "one")) })
    assert.same({ false, "one" }, { output.write(file(path, "one")) })
    assert.same({ true, "one" }, { output.write(file(path, "two", { backups = 0 })) })
    assert.same({ "a" }, core.file.list(path:match("^(.*)/")))
  end)

  it("keeps the secrets of a backup as close as those of the file", function()
    local path = support.tmp() .. "/a"
    output.write(file(path, "one", { mode = 384 }))
    output.write(file(path, "two", { mode = 384 }))
    assert.equal(384, mode_of(path .. ".bak"))
    output.write(file(path, "no secret", { mode = 416 }))
    assert.same({ 384, 416 }, { mode_of(path .. ".bak"), mode_of(path) })
  end)

  it("keeps the mode and the owner of what is somebody's own", function()
    local path = support.write(support.tmp() .. "/a", "one")
    assert(core.file.chmod(path, "0604"))
    local keep = { keep_mode = true, keep_owner = true }
    if core.process.user().uid == 0 then
      assert(core.file.chown(path, "nobody"))
      keep.owner = "root"
    end
    local before = core.file.stat(path)
    assert.is_false((output.write(file(path, "one", keep))))
    assert.is_true((output.write(file(path, "two", keep))))
    local after = core.file.stat(path)
    assert.same({ before.mode, before.uid, before.gid }, { after.mode, after.uid, after.gid })
    assert.equal("two", support.read(path))
  end)

  it("is checked as the service's user, where it is the service's own", function()
    if core.process.user().uid ~= 0 then return pending("only root can be another user") end
    local path = support.tmp() .. "/a"
    local _, message = output.write(file(path, "one", { check = { "sh", "-c", "id -un; exit 1" },
      candidate = path .. ".new", check_user = "nobody" }))
    assert.matches("nobody$", message)
  end)

  it("leaves nothing of a refused one", function()
    local path = support.tmp() .. "/a"
    local ok, message = output.write(file(path, "one", { check = { "false" },
      candidate = path .. ".new" }))
    assert.is_nil(ok)
    assert.matches("its check false refuses it", message)
    assert.same({}, core.file.list(path:match("^(.*)/")))
  end)
end)

describe("a guard", function()
  local function listed(n, fields)
    local result = { listed = { web = n } }
    for key, value in pairs(fields) do result[key] = value end
    return result
  end

  it("waits for the least number of instances", function()
    assert.equal("waits for 2 instances of web: there is 1",
      guard.reason(listed(1, { min_instances = 2 })))
    assert.is_nil(guard.reason(listed(2, { min_instances = 2 })))
  end)

  it("holds when too many went at once, by share or by number", function()
    local half = { max_drop = 0.5 }
    assert.is_nil(guard.reason(listed(2, half), { web = 4 }))
    assert.matches("3 of 4 instances of web went at once",
      guard.reason(listed(1, half), { web = 4 }))
    assert.is_nil(guard.reason(listed(3, { max_drop = 1 }), { web = 4 }))
    assert.matches("2 of 4", guard.reason(listed(2, { max_drop = 1 }), { web = 4 }))
    assert.matches("4 of 4", guard.reason({ listed = {}, max_drop = 0.5 }, { web = 4 }))
  end)

  it("lets pass what comes first, what grows, and what nobody guards", function()
    assert.is_nil(guard.reason(listed(0, { max_drop = 0.5 })))
    assert.is_nil(guard.reason(listed(9, { max_drop = 0.5 }), { web = 4 }))
    assert.is_nil(guard.reason(listed(0, {}), { web = 4 }))
  end)
end)

describe("changed files are taken up", function()
  local HUP = { reload = { signal = "HUP" } }
  local command = { reload = { command = { "nginx", "-s", "reload" } } }

  it("once for all that want the same", function()
    local commands = { { "nginx", "-s", "reload" } }
    assert.same({ restart = false, signals = { "HUP" }, commands = commands },
      guard.take_up { HUP, command, HUP, command, { reload = "none" } })
  end)

  it("by one restart, if any wants it", function()
    local restart = { restart = true, signals = {}, commands = {} }
    assert.same(restart, guard.take_up { HUP, {} })
    assert.same(restart, guard.take_up { HUP, { reload = { restart = true } } })
  end)
end)
