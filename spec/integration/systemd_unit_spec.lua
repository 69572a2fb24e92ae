-- The unit that `orrery systemd install` writes, under a real systemd.
local support = require "support"
local core = require "orrery.core"
local systemd = require "support.systemd"

local ORRERY = "/opt/orrery/bin/orrery -f /srv/spec"

-- a starts before b, and stops after it; each writes down when. The shell has something to say of
-- the signal, also when nobody reads it any more.
local STACK = [[return { name = "spec", stateDir = "state", discovery = { filePath = "discovery" },
  services = {
    a = { user = "root", cwd = "/srv/spec", stop = { timeout = 5 },
      exec = { "sh", "-c", "echo $$ >>a.pid; trap '' PIPE; trap 'echo a >>ended; exit' TERM; "
        .. "while :; do sleep 0.1; done" },
      healthCheck = { strategy = "file", path = "/srv/spec/a.pid", interval = 0.2 } },
    b = { user = "root", cwd = "/srv/spec", dependencies = { "a" }, stop = { timeout = 5 },
      exec = { "sh", "-c", "echo $$ >>b.pid; trap '' PIPE; trap 'echo b >>ended; exit' TERM; "
        .. "while :; do sleep 0.1; done" } },
  } }]]

describe("the unit of a stack", function()
  local missing, manager, root

  --- The program where the manager sees it, for it has a /tmp of its own.
  local function install_program()
    local share = root .. "/opt/orrery/share/orrery"
    assert(core.file.mkdir(share, "0755"))
    for _, name in ipairs { "lua", "profiles", "templates" } do
      assert(core.file.copy_tree(support.root .. "/" .. name, share .. "/" .. name))
    end
    assert(core.file.mkdir(root .. "/opt/orrery/bin", "0755"))
    assert(core.file.copy_tree(support.binary(), root .. "/opt/orrery/bin/orrery"))
  end

  setup(function()
    missing = systemd.missing()
    if not missing then manager, missing = systemd.start() end
    if missing then return end
    root = ("/proc/%d/root"):format(manager.pid)
    install_program()
  end)

  teardown(function()
    if manager then manager:stop() end
  end)

  local function text_of(name)
    local path = root .. "/srv/spec/" .. name
    return support.exists(path) and support.read(path) or ""
  end

  local function orrery(words)
    local code, out = manager:exec(ORRERY .. " " .. words)
    assert.equal(0, code, out)
    return out
  end

  local function show(property, unit)
    local _, out = manager:exec(("systemctl show -P %s %s"):format(property,
      unit or "orrery-spec.service"))
    return (out:gsub("%s+$", ""))
  end

  --- Runs test() over a fresh stack whose unit is installed.
  local function with_unit(name, test, options)
    it(name, function()
      if missing then return pending(missing) end
      assert(core.file.mkdir(root .. "/srv/spec", "0755"))
      support.write(root .. "/srv/spec/stack.lua", STACK)
      orrery("systemd install " .. (options or ""))
      manager:ctl "daemon-reload"
      finally(function()
        manager:ctl("stop orrery-spec.service", true)
        manager:exec(ORRERY .. " down")
        manager:ctl("reset-failed", true)
        support.remove_tree(root .. "/srv/spec")
      end)
      return test()
    end)
  end

  with_unit("is one that systemd finds nothing wrong with", function()
    local code, out = manager:exec(
      "sh -c 'cd /etc/systemd/system && systemd-analyze --man=no verify *.service'")
    assert.equal(0, code, out)
    assert.equal("", out)
  end, "--monitors")

  with_unit("is started once every service is well, and stops them in order", function()
    manager:ctl "start orrery-spec.service"
    assert.equal("active", show "ActiveState")
    local state = core.json.decode((orrery("status --json")))
    assert.is_true(state.good)
    assert.equal(show "MainPID", tostring(state.agent.pid))
    support.wait_until(function() return show "StatusText" == "2 services, all well" end, 20)
    manager:ctl "stop orrery-spec.service"
    assert.same({ "inactive", "success" }, { show "ActiveState", show "Result" })
    assert.equal("b\na\n", text_of "ended")
    local _, journal = manager:exec "journalctl -o cat -u orrery-spec.service"
    assert.truthy(journal:find("starting → running", 1, true), journal)
  end)

  with_unit("takes over a changed stack at a reload, and refuses a broken one", function()
    manager:ctl "start orrery-spec.service"
    local pid = show "MainPID"
    support.write(root .. "/srv/spec/stack.lua", (STACK:gsub("echo %$%$ >>b", "echo new >>b")))
    manager:ctl "reload orrery-spec.service"
    assert.matches("new\n$", text_of "b.pid")
    support.write(root .. "/srv/spec/stack.lua", "return { services = 1 }")
    assert.has_error(function() manager:ctl "reload orrery-spec.service" end)
    assert.same({ "active", pid }, { show "ActiveState", show "MainPID" })
    support.write(root .. "/srv/spec/stack.lua", STACK)
  end)

  with_unit("ends the services of a killed agent in their own way, and starts again", function()
    manager:ctl "start orrery-spec.service"
    local pid = show "MainPID"
    manager:ctl "kill --kill-who=main --signal=KILL orrery-spec.service"
    support.wait_until(function()
      return show "MainPID" ~= pid and show "ActiveState" == "active"
    end, 60, "the unit to start again")
    assert.equal("1", show "NRestarts")
    assert.same({ "a", "b" }, { text_of("ended"):match "a", text_of("ended"):match "b" })
    assert.equal(2, select(2, text_of("a.pid"):gsub("\n", "")))
  end)

  with_unit("does not start an invalid stack again and again", function()
    support.write(root .. "/srv/spec/stack.lua", "return { services = { a = { prot = 1 } } }")
    assert.has_error(function() manager:ctl "start orrery-spec.service" end)
    assert.same({ "failed", "3", "0" },
      { show "ActiveState", show "ExecMainStatus", show "NRestarts" })
    support.write(root .. "/srv/spec/stack.lua", STACK)
  end)

  with_unit("leaves an agent alone that runs already", function()
    orrery "up -d"
    local agent = core.json.decode((orrery("status --json"))).agent.pid
    assert.has_error(function() manager:ctl "start orrery-spec.service" end)
    assert.equal(agent, core.json.decode((orrery("status --json"))).agent.pid)
    local _, journal = manager:exec "journalctl -o cat -u orrery-spec.service"
    assert.truthy(journal:find("an agent is already running", 1, true), journal)
    manager:ctl "stop orrery-spec.service"
  end)

  with_unit("has monitors beside it, and something to be ordered after", function()
    manager:ctl "enable --now orrery-spec.service atproto-monitor-a.service atproto-b-deps.service"
    assert.equal("active", show("ActiveState", "atproto-b-deps.service"))
    support.wait_until(function()
      local _, journal = manager:exec "journalctl -o cat -u atproto-monitor-a.service"
      return journal:find("a@%S+ ready %(ready%) is passing")
    end, 30, "the monitor to tell")
    manager:ctl "stop orrery-spec.service"
    for _, unit in ipairs { "atproto-monitor-a", "atproto-b-deps" } do
      manager:wait_state(unit .. ".service", "inactive")
    end
  end, "--monitors")
end)
