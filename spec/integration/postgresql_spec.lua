--- A real private PostgreSQL: made at the first start, kept over restarts, closed to who has no
--- password.
local support = require "support"
local core = require "orrery.core"

local function psql(port, password, query)
  local result = assert(core.process.run({ timeout = 20,
    argv = { "psql", "-h", "127.0.0.1", "-p", tostring(port), "-U", "orrery", "-d", "feeds",
      "-Atc", query },
    env = { PATH = os.getenv("PATH"), PGPASSWORD = password, PGCONNECT_TIMEOUT = "5" } }))
  return result.code, result.stdout, result.stderr
end

describe("the postgresql type", function()
  it("runs a private server that keeps its data and its password", function()
    local dir, port = support.tmp(), support.free_port()
    support.write(dir .. "/stack.lua", ([[
      return { name = "spec-postgresql", stateDir = "%s/state", services = {
        database = { type = "postgresql", port = %d, settings = { databases = { "feeds" } } } } }
    ]]):format(dir, port))
    local function orrery(...)
      return support.orrery({ "-f", dir .. "/stack.lua", timeout = 90, ... })
    end
    finally(function() orrery("down") end)

    local code, out, err = orrery("up", "-d")
    assert.equals(0, code, out .. err)
    local password = support.read(dir .. "/state/secrets/database.password"):gsub("%s+$", "")
    assert.equals(32, #password)
    local make = "create table kept (x int); insert into kept values (7)"
    assert.equals(0, (psql(port, password, make)))
    assert.not_equals(0, (psql(port, "wrong", "select 1")))

    assert.equals(0, (orrery("restart", "database")))
    code, out = psql(port, password, "select x from kept")
    assert.equals(0, code)
    assert.equals("7\n", out)

    code, out = orrery("status", "--json")
    assert.equals(0, code)
    assert.is_nil(out:find(password, 1, true))
    local pid = core.json.decode(out).services[1].instances[1].pid
    assert.equals(0, (orrery("down")))
    support.wait_gone(pid, 10)
  end)
end)
