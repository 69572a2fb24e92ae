local support = require "support"
local checker = require "support.checker"
local core = require "orrery.core"
local systemd = require "support.systemd"

local function contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

local function unit(name, more)
  local spec = { strategy = "systemd", unit = name, timeout = 30 }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

local function ask_at(address, ...)
  return table.unpack(checker.run({ ... }, { DBUS_SYSTEM_BUS_ADDRESS = address }))
end

describe("a systemd check", function()
  local missing, manager

  setup(function()
    missing = systemd.missing()
    if not missing then manager, missing = systemd.start() end
  end)

  teardown(function()
    if manager then manager:stop() end
  end)

  -- A test that needs the manager.
  local function with_manager(name, test)
    it(name, function()
      if missing then return pending(missing) end
      finally(function() manager:clear() end)
      return test()
    end)
  end

  local function ask(...) return ask_at(manager:address(), ...) end

  local function passes(spec, message)
    local verdict = ask(spec)
    assert.same({ true, message }, { verdict.ok, verdict.message })
  end

  local function fails(spec, message)
    local verdict = ask(spec)
    assert.same({ false, message }, { verdict.ok, verdict.message })
    assert.is_true(verdict.latency < 20)
  end

  with_manager("passes while its unit is active", function()
    manager:unit("good.service", "ExecStart=sleep infinity")
    manager:ctl "start good.service"
    passes(unit "good.service", "good.service is active (running)")
    passes(unit "good", "good.service is active (running)")
    passes(unit "basic.target", "basic.target is active (active)")
    manager:unit("once.service", "Type=oneshot\nRemainAfterExit=yes\nExecStart=true")
    manager:ctl "start once.service"
    passes(unit "once.service", "once.service is active (exited)")
  end)

  -- systemd forgets such a unit, so that it has to be loaded by its name.
  with_manager("finds a stopped unit whose file exists", function()
    manager:unit("stopped.service", "ExecStart=sleep infinity")
    fails(unit "stopped.service", "stopped.service is inactive (dead), expected active")
    manager:ctl "start stopped.service"
    passes(unit "stopped.service", "stopped.service is active (running)")
    manager:ctl "stop stopped.service"
    fails(unit "stopped.service", "stopped.service is inactive (dead), expected active")
    passes(unit("stopped", { expectedState = "inactive" }), "stopped.service is inactive (dead)")
  end)

  with_manager("says that a unit does not exist", function()
    local message = "nope.service does not exist: systemd has no unit file of this name"
    fails(unit "nope", message)
    fails(unit("nope", { expectedState = "inactive" }), message)
  end)

  with_manager("fails when its unit has failed", function()
    manager:unit("bad.service", "ExecStart=false")
    manager:ctl "start bad.service"
    manager:wait_state("bad.service", "failed")
    fails(unit "bad.service", "bad.service is failed (failed), expected active")
    passes(unit("bad.service", { expectedState = { "active", "failed" } }),
      "bad.service is failed (failed)")
  end)

  with_manager("tells a start, a reload and a stop that go on", function()
    manager:unit("slow.service", "Type=notify\nExecStart=sleep infinity\n" ..
      "TimeoutStartSec=infinity")
    manager:ctl "start --no-block slow.service"
    manager:wait_state("slow.service", "activating")
    fails(unit "slow.service", "slow.service is activating (start), expected active")
    fails(unit("slow.service", { expectedState = { "active", "failed" } }),
      "slow.service is activating (start), expected active or failed")
    passes(unit("slow.service", { expectedState = "activating" }),
      "slow.service is activating (start)")

    manager:unit("reloads.service", "ExecStart=sleep infinity\nExecReload=sleep infinity")
    manager:ctl "start reloads.service"
    manager:ctl "reload --no-block reloads.service"
    manager:wait_state("reloads.service", "reloading")
    passes(unit "reloads.service", "reloads.service is reloading (reload)")
    fails(unit("reloads.service", { expectedState = "failed" }),
      "reloads.service is reloading (reload), expected failed")

    manager:unit("lingers.service", "ExecStart=sleep infinity\nExecStop=sleep infinity")
    manager:ctl "start lingers.service"
    manager:ctl "stop --no-block lingers.service"
    manager:wait_state("lingers.service", "deactivating")
    fails(unit "lingers.service", "lingers.service is deactivating (stop), expected active")
  end)

  with_manager("says what is wrong with a unit's file", function()
    manager:ctl "mask --runtime masked.service"
    manager:unit("empty.service", "Type=simple")
    fails(unit "empty.service",
      "empty.service is inactive (dead), expected active; its unit file is bad-setting")
    fails(unit "masked.service",
      "masked.service is inactive (dead), expected active; its unit file is masked")
    fails(unit "template@.service", "template@.service: systemd refused to answer: " ..
      "Unit name template@.service is missing the instance name.")
  end)

  with_manager("holds many checks on one connection", function()
    manager:unit("many.service", "ExecStart=sleep infinity")
    manager:ctl "start many.service"
    local specs = {}
    for i = 1, 300 do specs[i] = unit(i % 3 == 0 and "nope" or "many") end
    for i, verdict in ipairs { ask(table.unpack(specs)) } do
      assert.equal(i % 3 ~= 0, verdict.ok)
    end
  end)

  with_manager("ends at its deadline when systemd is silent", function()
    manager:unit("waits.service", "ExecStart=sleep infinity")
    manager:ctl "start waits.service"
    manager:signal "STOP"
    local first, second = ask(unit("waits", { timeout = 0.3 }), unit("waits", { timeout = 0.5 }))
    manager:signal "CONT"
    assert.equal("waits.service: timed out after 0.3 s", first.message)
    assert.equal("waits.service: timed out after 0.5 s", second.message)
    assert.is_true(first.latency >= 0.29 and first.latency < 20)
    assert.is_true(second.latency >= 0.49 and second.latency < 20)
    passes(unit "waits", "waits.service is active (running)")
  end)

  with_manager("follows its unit, and outlives the manager and its bus", function()
    local dir = support.tmp()
    local mine = systemd.start()
    finally(function() mine:stop() end)
    local function publish()
      mine:unit("web.service", "ExecStart=sleep infinity")
      os.execute(("ln -sfn /proc/%d/root %s/root"):format(mine.pid, dir))
      mine:ctl "start web.service"
    end
    publish()
    local watch = checker.watch(unit("web", { interval = 0.02, fall = 1 }),
      { DBUS_SYSTEM_BUS_ADDRESS = ("unix:path=%s/root/run/dbus/system_bus_socket"):format(dir) })
    finally(function() watch.stop() mine:stop() end)
    local function becomes(state)
      local change = watch.next()
      assert.equal(state, change.state, change.message)
      return change
    end
    becomes "passing"
    mine:ctl "kill --signal=KILL web.service"
    becomes "failing"
    mine:ctl "reset-failed web.service"
    mine:ctl "start web.service"
    becomes "passing"
    mine:signal "KILL"
    contains(becomes("failing").message, "system bus at unix:path=" .. dir)
    mine:stop()
    mine = systemd.start()
    publish()
    becomes "passing"
  end)
end)

describe("a systemd check without systemd", function()
  it("says that there is no bus, and what to do", function()
    local address = "unix:path=" .. support.tmp() .. "/nobody"
    local verdict = ask_at(address, unit "nginx")
    assert.is_false(verdict.ok)
    contains(verdict.message, "nginx.service: there is no D-Bus system bus at " .. address ..
      " to reach systemd by (No such file or directory); start systemd and dbus")
    contains(ask_at("nonsense", unit "nginx").message, "there is no D-Bus system bus at nonsense")
  end)

  it("says that systemd is not on the bus", function()
    local dir = support.tmp()
    local address = "unix:path=" .. dir .. "/bus"
    local bus = io.popen("exec env -u LD_PRELOAD dbus-daemon --session --nofork --nopidfile "
      .. "--print-pid --print-address --address=" .. address .. " 2>/dev/null")
    local pid = bus:read("n") or (bus:read("l") and bus:read("n"))
    if not pid then
      bus:close()
      return pending("dbus-daemon is not installed")
    end
    finally(function()
      os.execute("kill -9 " .. pid)
      bus:close()
    end)
    contains(ask_at(address, unit "nginx").message,
      "nginx.service: systemd is not on the system bus at " .. address)
  end)

  it("ends when what listens there is silent, or no bus", function()
    local server = io.popen("exec env -u LD_PRELOAD python3 spec/support/rude_server.py")
    local _, banner, silent, pid = server:read("n", "n", "n", "n")
    finally(function()
      os.execute("kill -9 " .. pid)
      server:close()
    end)
    local function tcp(port) return ("tcp:host=127.0.0.1,port=%d"):format(port) end
    for _, port in ipairs { silent, banner } do
      local verdict = ask_at(tcp(port), unit("nginx", { timeout = 0.4 }))
      assert.is_false(verdict.ok)
      assert.is_true(verdict.latency < 20)
      if port == silent then
        assert.equal("nginx.service: timed out after 0.4 s", verdict.message)
      end
    end
    local nobody = tcp(support.free_port())
    for _, verdict in ipairs { ask_at(nobody, unit "nginx", unit "apache2") } do
      assert.is_false(verdict.ok)
      contains(verdict.message, "system bus at " .. nobody)
    end
  end)
end)

describe("a bad systemd check", function()
  it("raises, naming the key", function()
    local function refused(spec, part)
      spec.strategy = "systemd"
      local ok, message = pcall(core.check.run, spec)
      assert.is_false(ok)
      contains(message, part)
    end
    refused({}, "unit: is missing")
    refused({ unit = "" }, 'unit: "" is no name of a unit')
    refused({ unit = "a b" }, 'unit: "a b" is no name of a unit; expected one such as')
    refused({ unit = ("x"):rep(250) }, "unit: is longer than 255 bytes")
    refused({ unit = "x", expectedState = "up" },
      'expectedState: "up" is not one of active, reloading, inactive, failed')
    refused({ unit = "x", expectedState = core.json.array {} }, "expectedState: is empty")
    refused({ unit = "x", expectedState = 5 }, "expectedState: expected a string, got a number")
  end)
end)
