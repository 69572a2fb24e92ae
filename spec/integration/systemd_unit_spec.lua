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
      exec = { "sh", "-c", "trap '' PIPE; trap 'echo a >>ended; exit' TERM; echo $$ >>a.pid; "
        .. "while :; do sleep 0.1; done" },
      healthCheck = { strategy = "file", path = "/srv/spec/a.pid", interval = 0.2 } },
    b = { user = "root", cwd = "/srv/spec", dependencies = { "a" }, stop = { timeout = 5 },
      exec = { "sh", "-c", "trap '' PIPE; trap 'echo b >>ended; exit' TERM; echo $$ >>b.pid; "
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

  --- Waits until a service has written that into its file.
  local function writes(name, pattern)
    support.wait_until(function() return text_of(name):find(pattern) end, 20,
      pattern .. " in " .. name)
  end

  --- Waits until the journal of a unit has this: what was said gets there a little later.
  local function journal_has(unit, pattern)
    support.wait_until(function()
      local _, journal = manager:exec("journalctl -o cat -u " .. unit)
      return journal:find(pattern)
    end, 30, ("%q in the journal of %s"):format(pattern, unit))
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
    writes("b.pid", "%d\n") -- by now it heeds the signal
    manager:ctl "stop orrery-spec.service"
    assert.same({ "inactive", "success" }, { show "ActiveState", show "Result" })
    assert.equal("b\na\n", text_of "ended")
    journal_has("orrery-spec.service", "starting → running")
  end)

  with_unit("takes over a changed stack at a reload, and refuses a broken one", function()
    manager:ctl "start orrery-spec.service"
    local pid = show "MainPID"
    support.write(root .. "/srv/spec/stack.lua", (STACK:gsub("echo %$%$ >>b", "echo new >>b")))
    manager:ctl "reload orrery-spec.service"
    writes("b.pid", "new\n$")
    support.write(root .. "/srv/spec/stack.lua", "return { services = 1 }")
    assert.has_error(function() manager:ctl "reload orrery-spec.service" end)
    assert.same({ "active", pid }, { show "ActiveState", show "MainPID" })
    support.write(root .. "/srv/spec/stack.lua", STACK)
  end)

  with_unit("ends the services of a killed agent in their own way, and starts again", function()
    manager:ctl "start orrery-spec.service"
    local pid = show "MainPID"
    writes("b.pid", "%d\n") -- by now it heeds the signal
    manager:ctl "kill --kill-who=main --signal=KILL orrery-spec.service"
    support.wait_until(function()
      return show "MainPID" ~= pid and show "ActiveState" == "active"
    end, 60, "the unit to start again")
    assert.equal("1", show "NRestarts")
    assert.same({ "a", "b" }, { text_of("ended"):match "a", text_of("ended"):match "b" })
    writes("a.pid", "^%d+\n%d+\n$")
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
    journal_has("orrery-spec.service", "an agent is already running")
    manager:ctl "stop orrery-spec.service"
  end)

  with_unit("has monitors beside it, and something to be ordered after", function()
    manager:ctl "enable --now orrery-spec.service atproto-monitor-a.service atproto-b-deps.service"
    assert.equal("active", show("ActiveState", "atproto-b-deps.service"))
    journal_has("atproto-monitor-a.service", "a@%S+ ready %(ready%) is passing")
    manager:ctl "stop orrery-spec.service"
    for _, unit in ipairs { "atproto-monitor-a", "atproto-b-deps" } do
      manager:wait_state(unit .. ".service", "inactive")
    end
  end, "--monitors")
end)
