-- `orrery systemd`, and what an agent tells a service manager, without one; under a real systemd
-- they are in spec/integration/systemd_unit_spec.lua.
local agents = require "support.agents"
local core = require "orrery.core"
local support = require "support"

local json = core.json

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q is not in: %s"):format(part, text))
end

local STACK = [[return { name = "spec", stateDir = "state", services = {
  db = { external = true, port = 5432, healthCheck = { strategy = "tcp" } },
  web = { exec = { "true" }, dependencies = { "db" }, dependencyTimeout = 90 },
  job = { exec = { "true" } },
} }]]

local function folder(text)
  local dir = support.tmp()
  support.write(dir .. "/stack.lua", text or STACK)
  return dir
end

describe("orrery systemd", function()
  it("prints the unit of the agent, and with --monitors those beside it", function()
    local dir = folder()
    local code, out = support.orrery { "-f", dir, "systemd", "generate" }
    assert.equal(0, code)
    has(out, "Type=notify\n")
    has(out, ("ExecStart=%s -f %s/stack.lua up --agent\n"):format(
      core.file.realpath(support.binary()), dir))
    has(out, "WorkingDirectory=" .. dir .. "\n")
    assert.equal(1, select(2, out:gsub("%[Unit%]", "")))
    local names = {}
    local _, list = support.orrery { "-f", dir, "systemd", "generate", "--monitors", "--json" }
    for i, item in ipairs(json.decode(list)) do names[i] = item.name end
    assert.same({ "orrery-spec.service", "atproto-web-deps.service",
      "atproto-monitor-db.service" }, names)
    has(list, "wait --deps web --timeout 90")
  end)

  it("names the stack by what was given, each word as systemd reads it", function()
    local dir = folder()
    local _, out = support.orrery { "-f", dir, "--set", "services.job.env.A=50% of $HOME \"x\\\"",
      "--node", "edge", "systemd", "generate",
      env = { PATH = "/usr/bin:/bin", ORRERY_PATH = "/a b" } }
    has(out, [["services.job.env.A=50%% of $$HOME \"x\\\""]])
    has(out, "--node edge")
    has(out, 'Environment="ORRERY_PATH=/a b"')
    has(out, "Environment=PATH=/usr/bin:/bin\n")
    _, out = support.orrery { "-f", "simple-pds", "systemd", "generate", cwd = dir }
    has(out, "-f simple-pds up --agent")
    has(out, "WorkingDirectory=" .. dir)
  end)

  it("writes where it is told, twice the same, and says what comes next", function()
    local dir, into = folder(), support.tmp() .. "/units"
    local path = into .. "/orrery-spec.service"
    local env = { XDG_STATE_HOME = dir } -- which is in the unit
    local function install(...)
      return support.orrery { "-f", dir, "systemd", "install", "--dir", into, env = env, ... }
    end
    local code, out, err = install()
    assert.equal(0, code, err)
    assert.equal(path .. " is written\n", out)
    has(err, "systemctl daemon-reload && systemctl enable --now orrery-spec.service")
    local _, generated = support.orrery { "-f", dir, "systemd", "generate", env = env }
    assert.equal(generated, support.read(path))
    assert.equal(420, core.file.stat(path).mode & 511)
    _, out = install("--json")
    assert.same({ { path = path, changed = false } }, json.decode(out))
  end)

  it("takes the folder of a user's own manager", function()
    local dir, config = folder(), support.tmp()
    local code, out, err = support.orrery { "-f", dir, "systemd", "install", "--user",
      env = { XDG_CONFIG_HOME = config } }
    assert.equal(0, code, err)
    has(out, config .. "/systemd/user/orrery-spec.service is written")
    has(err, "systemctl --user enable --now")
    local text = support.read(config .. "/systemd/user/orrery-spec.service")
    has(text, "WantedBy=default.target")
    has(text, "EnvironmentFile=-" .. config .. "/orrery/spec.env")
  end)

  it("replaces nothing that is not of this stack, and writes nothing then", function()
    local dir, into = folder(), support.tmp()
    support.write(into .. "/atproto-web-deps.service", "[Service]\n")
    local words = { "-f", dir, "systemd", "install", "--monitors", "--dir", into }
    local code, _, err = support.orrery(words)
    assert.equal(1, code)
    has(err, "atproto-web-deps.service is there, and not of stack 'spec'")
    assert.same({ "atproto-web-deps.service" }, core.file.list(into))
    words[#words + 1] = "--force"
    assert.equal(0, (support.orrery(words)))
    assert.equal(3, #core.file.list(into))
  end)

  it("refuses wrong words, and a stack that is invalid", function()
    local dir, into = folder "return { services = { a = { prot = 1 } } }", support.tmp()
    local code, _, err = support.orrery { "-f", dir, "systemd", "instal", "--dir", into }
    assert.equal(2, code)
    has(err, "systemd generate")
    code, _, err = support.orrery { "-f", dir, "systemd", "install", "--dir", into }
    assert.equal(3, code)
    has(err, "services.a.prot")
    assert.same({}, core.file.list(into))
  end)
end)

describe("an agent under a service manager", function()
  --- Runs body(next, agent) while the agent tells `next` how it stands; ends the agent unless body
  --- says that it has, for a second signal may come when nobody heeds it any more.
  local function told(services, body)
    local dir = agents.stack(services)
    local socket <close> = assert(core.process.notify_socket(dir .. "/notify"))
    local running = assert(core.process.spawn { argv = { support.binary(), "-f", dir, "up",
      "--agent" }, env = support.env { NOTIFY_SOCKET = dir .. "/notify" }, cwd = dir,
      instance = "spec/up", log = { path = dir .. "/up.log" } })
    local function next_with(part)
      local deadline = core.time.monotonic() + 60
      while true do
        local message = assert(socket:next(deadline - core.time.monotonic()))
        if message.text:find(part, 1, true) then return message end
      end
    end
    local ok, ended = xpcall(body, debug.traceback, next_with, running, dir)
    if not ok or not ended then running:signal "TERM" end
    local status = running:wait(50)
    if not ok then error(ended, 0) end
    assert.same({ code = 0 }, status)
    has(support.read(dir .. "/up.log"), "starting → running")
  end

  it("asks for time, and is ready once every service is where it will stay", function()
    told(agents.service("slow", "exec sleep 600",
      "healthCheck = { strategy = 'file', path = 'DIR/ready', interval = 0.1 }"),
      function(next_with, running, dir)
        local first = next_with "EXTEND_TIMEOUT_USEC="
        assert.equal(running.pid, first.pid)
        local waits = next_with "STATUS=1 of 1 services not well yet: slow is starting"
        assert.is_nil(waits.text:find("READY=1", 1, true))
        support.write(dir .. "/ready", "")
        has(next_with("READY=1").text, "STATUS=1 services, all well")
        running:signal "TERM"
        has(next_with("STOPPING=1").text, "STATUS=stopping")
        return true
      end)
  end)

  it("is ready although a service failed, and says which", function()
    told(agents.service("good", "exec sleep 600")
      .. agents.service("bad", "exit 3", "restart = { policy = 'never' }"), function(next_with)
      local text = next_with("READY=1").text
      has(text, "STATUS=1 of 2 services not well yet: bad is failed: ")
      has(text, "exited with code 3")
    end)
  end)
end)

describe("orrery down without an agent", function()
  it("ends what an agent left that was killed with its guard", function()
    local agent = agents.detached(agents.stack(agents.service("left",
      "trap '' TERM; while :; do sleep 0.2; done")))
    local instances = agent:reach(function(i) return i.left.state == "running" end, "left to run")
    local _, state = agent:state()
    support.run { "sh", "-c", ("kill -STOP %d; kill -KILL %d %d"):format(state.agent.guard,
      state.agent.pid, state.agent.guard) }
    support.wait_gone(state.agent.guard)
    support.wait_gone(state.agent.pid)
    local code, out, err = agent:orrery "down"
    assert.equal(0, code, err)
    assert.equal("stack 'spec' is down\n", out)
    support.wait_gone(instances.left.pid)
    _, out = agent:orrery "down"
    assert.equal("stack 'spec' is not running\n", out)
  end)

  it("touches no agent with --leftovers, and does not take one that starts for none", function()
    local dir = agents.stack(agents.service("a", "exec sleep 600"))
    agents.over(dir, function(agent)
      agent:reach(function(i) return i.a.state == "running" end, "a to run")
      assert.equal(0, (agent:orrery("down", "--leftovers")))
      assert.equal("running", agent:state().a.state)
    end)
    local lock = assert(core.file.lock(dir .. "/state/lock"))
    local code, _, err = agents.handle(dir):orrery "down"
    lock:close()
    assert.equal(4, code)
    has(err, "does not answer: it is starting or ending")
  end)
end)
