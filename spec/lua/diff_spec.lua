-- What has changed between two stacks, and what that means.
local support = require "support"
local diff = require "orrery.diff"
local stacks = require "support.stacks"

local BASE = [[return { name = "s", STACK services = {
  db = { exec = { "sleep", "1" }, port = 7001, healthEndpoint = "/x", DB },
  app = { exec = { "sleep", "1" }, dependencies = { "db" }, APP },
  lone = { exec = { "sleep", "1" }, env = { D = "${stack.domain}" }, LONE }, MORE } }]]

local dir

local function load(parts)
  local text = BASE:gsub("%u%u+", function(word)
    if word == "STACK" or word == "DB" or word == "APP" or word == "LONE" or word == "MORE" then
      return parts[word] or ""
    end
  end):gsub(", ,", ","):gsub(", }", " }")
  return stacks.good(dir, text)
end

local function of(parts, before)
  local found = diff.of(load(before or {}), load(parts))
  local text = {}
  for _, change in ipairs(found.changed) do
    text[#text + 1] = ("%s %s %s"):format(change.service, change.action,
      table.concat(change.keys, ","))
  end
  return text, found
end

describe("the difference of two stacks", function()
  before_each(function() dir = support.tmp() end)

  it("is empty for the same file, loaded twice", function()
    local text, found = of({ DB = "env = { P = { secret = { env = 'HOME' } } }" },
      { DB = "env = { P = { secret = { env = 'HOME' } } }" })
    assert.same({}, text)
    assert.is_true(found.empty)
  end)

  it("names what was added and removed", function()
    local _, found = of({ MORE = "new = { exec = { 'x' } }" },
      { MORE = "old = { exec = { 'x' } }" })
    assert.same({ { "new" }, { "old" }, false }, { found.added, found.removed, found.empty })
  end)

  it("restarts nothing for tags, times and policies", function()
    assert.same({ "db nothing restart,stop,tags" },
      (of { DB = "tags = { 'a' }, restart = { max = 3 }, stop = { timeout = 3 }" }))
    assert.same({ "app nothing dependencies" },
      (of { APP = "dependencies = { { name = 'db', timeout = 5 } }" }))
  end)

  it("exchanges checks, writes files, and restarts for the rest", function()
    assert.same({ "db checks healthChecks" }, (of { DB = "healthCheck = { interval = 3 }" }))
    assert.same({ "db files config" }, (of { DB = "config = { ['a.txt'] = { template = 'x' } }" }))
    assert.same({ "lone restart tags" }, (of { LONE = "tags = { 'on-${stack.name}' }" }))
    assert.same({ "lone restart cwd,tags" }, (of { LONE = "cwd = '/', tags = { 'a' }" }))
    assert.same({ "lone restart dependencies" }, (of { LONE = "dependencies = { 'db' }" }))
  end)

  it("restarts those who see what has changed", function()
    assert.same({ "app restart service.db.scheme", "db restart scheme" },
      (of { DB = "scheme = 'https'" }))
    assert.same({ "app restart service.db.scheme", "db restart scheme",
      "lone restart service.db.scheme" },
      (of({ DB = "scheme = 'https'", LONE = "cwd = '${service.db.url}'" },
        { LONE = "cwd = '${service.db.url}'" })))
    assert.same({ "lone restart stack.domain" }, (of { STACK = "domain = 'b.test'," }))
  end)

  it("refuses what a running agent cannot take over", function()
    local _, found = of { STACK = "coordination = { enableHealthChecks = false }," }
    assert.matches("^coordination of the stack has changed", found.refused)
    _, found = of { STACK = "coordination = { dependencyTimeout = 5 }," }
    assert.is_nil(found.refused)
    _, found = of { STACK = "stateDir = 'x'," }
    assert.matches("^dirs of the stack", found.refused)
  end)
end)
