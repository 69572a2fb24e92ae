-- The health check that a dependent writes at its edge becomes a check of the service it looks at.
local stack = require "orrery.stack"
local support = require "support"

local dir

before_each(function() dir = support.tmp() end)

local function load(services)
  local path = support.write(dir .. "/stack.lua", "return { services = {" .. services .. "} }")
  local loaded, problems = stack.load(path)
  if not loaded then error(stack.format(problems), 2) end
  return loaded.services
end

local function names(map)
  local list = {}
  for name in pairs(map) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local EDGE = [[dependencies = { { name = "db", type = "required",
  healthCheck = { strategy = "tcp", timeout = 10, retries = 7 } } }]]

describe("a check at an edge", function()
  it("gates by the one health of the service that it looks at", function()
    local services = load([[db = { exec = { "db" }, port = 1234 },
      web = { exec = { "web" }, ]] .. EDGE .. "}")
    assert.same({ "for web" }, names(services.db.healthChecks))
    local check = services.db.healthChecks["for web"]
    assert.same({ "tcp", "ready", 10, 7 },
      { check.strategy, check.role, check.timeout, check.fall })
    assert.equal("check", services.db.readyWhen)
    assert.same({}, services.web.healthChecks)
  end)

  it("runs once however many share it", function()
    local services = load([[db = { exec = { "db" }, port = 1234 },
      api = { exec = { "api" }, ]] .. EDGE .. "}, web = { exec = { 'web' }, " .. EDGE .. "}")
    assert.same({ "for api" }, names(services.db.healthChecks))
  end)

  it("adds nothing that the service has itself", function()
    local services = load([[db = { exec = { "db" }, port = 1234,
      healthCheck = { strategy = "tcp", timeout = 10, retries = 7 } },
      web = { exec = { "web" }, ]] .. EDGE .. "}")
    assert.same({ "ready" }, names(services.db.healthChecks))
  end)

  it("that is wrong is told where it was written", function()
    local path = support.write(dir .. "/stack.lua", [[return { services = {
      db = { exec = { "db" } }, web = { exec = { "web" }, ]] .. EDGE .. "} } }")
    local loaded, problems = stack.load(path)
    assert.is_nil(loaded)
    assert.equal(1, #problems)
    assert.matches("services%.web%.dependencies%.db%.healthCheck", problems[1].path)
  end)
end)
