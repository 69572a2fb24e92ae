local support = require "support"
local outcome = require "orrery.outcome"
local process = require "orrery.core".process

local function run(script, timeout)
  return assert(process.run { argv = { "sh", "-c", script }, timeout = timeout or 30,
    env = support.env() })
end

describe("outcome", function()
  it("says how a command ended", function()
    assert.equal("exit code 3", outcome.of(run "exit 3"))
    assert.equal("ended by SIGKILL", outcome.of(run "kill -KILL $$"))
    assert.equal("timed out", outcome.of(run("sleep 60", 0.2)))
  end)

  it("says the last of what it wrote, if that is anything", function()
    assert.equal("exit code 1: no such thing", outcome.told(run "echo no such thing >&2; exit 1"))
    assert.equal("exit code 1", outcome.told(run "exit 1"))
  end)
end)
