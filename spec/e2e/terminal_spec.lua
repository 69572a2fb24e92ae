-- What the person at the terminal does, or does not do: Ctrl-C while packages are installed, and a
-- terminal that takes nothing.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"

describe("Ctrl-C while packages are installed", function()
  it("ends the agent with a word: which signal, and that nothing was started", function()
    local name = ("spec-slow-%d"):format(core.process.pid())
    local home = support.packages() .. "/" .. name
    local dir = agents.stack(agents.service("web", "exec sleep 600", ("type = %q"):format(name)))
    assert(core.file.mkdir(dir .. "/types", 493))
    assert(core.file.mkdir(dir .. "/packages/" .. name, 493))
    support.write(("%s/types/%s.lua"):format(dir, name), "return {}")
    support.write(("%s/packages/%s/run"):format(dir, name), "#!/bin/sh\n")
    assert(core.file.mkdir(home, 493))
    local held = assert(core.file.lock(home .. "/.lock")) -- somebody else installs it
    local agent = agents.up(dir)
    local ok, problem = pcall(function()
      support.wait_until(function()
        return agent:text("up.log"):find("another orrery is installing " .. name, 1, true)
      end, 20, "the installation")
      agent:signal("INT")
      assert.same({ code = 1 }, agent.process:wait(50))
      assert.matches("ended by SIGINT while packages were being installed; no service was started",
        agent:text("up.log"))
    end)
    held:close()
    agent.process:kill()
    agent.process:wait(50)
    support.remove_tree(home)
    if not ok then error(problem, 0) end
  end)
end)

describe("a terminal that takes nothing", function()
  it("does not hold up the agent, and learns afterwards that lines are missing", function()
    local dir = agents.stack(agents.service("busy", "exit 1",
      "restart = { backoff = { 0.01, 0.01 }, max = 10000 }"))
    local go = dir .. "/go"
    assert(core.process.run { argv = { "mkfifo", go } })
    local deaf = assert(core.process.spawn { argv = { "sh", "-c",
      "exec python3 \"$@\" < \"$0\"", go, support.root .. "/spec/support/deaf_terminal.py",
      support.binary(), "-f", dir, "up" }, env = support.env(), cwd = support.root,
      instance = "spec/deaf", log = { path = dir .. "/deaf.log" } })
    local input = assert(io.open(go, "w"))
    local ok, problem = pcall(function()
      local agent = agents.handle(dir)
      local seen = 0
      support.wait_until(function() -- more than any terminal holds
        local instances = agent:state()
        seen = instances and instances.busy and instances.busy.restarts or 0
        return seen > 400
      end, 240, "400 restarts")
      input:write("\n")
      input:flush()
      support.wait_until(function()
        return support.read(dir .. "/deaf.log"):find("lines were left out", 1, true)
      end, 20, "the terminal to be told")
    end)
    support.orrery { "-f", dir, "down" }
    input:close()
    deaf:wait(50)
    deaf:kill()
    if not ok then error(problem, 0) end
  end)
end)
