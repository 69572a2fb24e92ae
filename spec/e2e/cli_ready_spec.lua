-- How real services become ready, their hooks, and what oneshots publish: with the real program.
local core = require "orrery.core"
local support = require "support"

local counter = 0

local function new_stack(services)
  counter = counter + 1
  local dir = support.tmp()
  local name = ("ready-%d-%d"):format(core.process.pid(), counter)
  support.write(dir .. "/stack.lua", ("local DIR = %q\n"
    .. "local NOTIFY = 'python3 ' .. DIR .. '/notify.py '\nreturn { name = %q, stateDir = DIR .. "
    .. "'/state', services = {\n%s\n} }"):format(dir, name, services))
  assert(core.file.copy_tree(support.root .. "/spec/support/notify.py", dir .. "/notify.py"))
  core.file.chmod(dir, 511) -- services of another user write into it
  local function orrery(...)
    local arguments = { "-f", dir, ... }
    arguments.timeout = 60
    return support.orrery(arguments)
  end
  return orrery, dir
end

local function state_of(orrery)
  local _, out, err = orrery("status", "--json")
  local state = core.json.decode(out)
  assert(state, err)
  local by_name = {}
  for _, service in ipairs(state.services) do by_name[service.name] = service.instances[1] end
  return by_name
end

local function events_of(orrery, kind)
  local _, out = orrery("events", "--json")
  local found = {}
  for line in out:gmatch("[^\n]+") do
    local event = assert(core.json.decode(line), line)
    if event.type == kind then found[#found + 1] = event end
  end
  return found
end

local function with_stack(services, body)
  local orrery, dir = new_stack(services)
  local code, out, err = orrery("up", "-d")
  local ok, problem = xpcall(body, debug.traceback, orrery, dir, code, out .. err)
  local down_code, _, down_err = orrery("down")
  if not ok then error(problem, 0) end
  assert.equal(0, down_code, down_err)
  return dir
end

describe("readyWhen", function()
  it("waits for READY=1, shows STATUS=, and holds dependents until then", function()
    with_stack([[
      web = { readyWhen = "notify", stop = { timeout = 5 }, exec = { "sh", "-c",
        NOTIFY .. "STATUS=loading; while ! [ -e " .. DIR .. "/go ]; do sleep 0.05; done; "
        .. "echo ready > " .. DIR .. "/order; " .. NOTIFY .. "READY=1 'STATUS=serving 3'; "
        .. "exec sleep 600" } },
      opener = { exec = { "sh", "-c", "sleep 0.3; touch " .. DIR .. "/go; exec sleep 600" } },
      user = { exec = { "sh", "-c", "echo user >> " .. DIR .. "/order; exec sleep 600" },
        dependencies = { "web" } },
    ]], function(orrery, dir, code, text)
      assert.equal(0, code, text)
      support.wait_until(function()
        return support.read(dir .. "/order") == "ready\nuser\n"
      end)
      local web = state_of(orrery).web
      assert.equal("running", web.state)
      assert.equal("serving 3", web.status)
      assert.equal("ready: it said READY=1", web.reason)
    end)
  end)

  it("fails the start of what never says it, and ignores what others say", function()
    with_stack([[
      web = { readyWhen = "notify", dependencyTimeout = 4, restart = { policy = "never" },
        exec = { "sleep", "600" } },
      liar = { exec = { "sh", "-c", "while ! [ -S " .. DIR .. "/state/run/notify/web@* ]; "
        .. "do sleep 0.05; done; NOTIFY_SOCKET=$(echo " .. DIR .. "/state/run/notify/web@*) "
        .. NOTIFY .. "READY=1; exec sleep 600" } },
    ]], function(orrery, _, code, text)
      assert.equal(1, code, text)
      local web = state_of(orrery).web
      assert.equal("failed", web.state)
      assert.truthy(web.reason:find("not ready within 4 s: it never said READY=1", 1, true),
        web.reason)
      local refused = 0
      for _, event in ipairs(events_of(orrery, "notify")) do
        if event.reason:find("it is none of this service's", 1, true) then refused = refused + 1 end
      end
      assert.equal(1, refused)
    end)
  end)

  it("waits for a plain text in a line of its output", function()
    with_stack([[
      web = { readyWhen = "log:100% (up).", exec = { "sh", "-c",
        "echo '100x (up)!'; sleep 0.2; date +%s%N > " .. DIR .. "/web; echo 'now 100% (up).' >&2; "
        .. "exec sleep 600" } },
      user = { exec = { "sh", "-c", "[ -s " .. DIR .. "/web ] && exec sleep 600" },
        dependencies = { "web" }, restart = { policy = "never" } },
    ]], function(orrery, _, code, text)
      assert.equal(0, code, text)
      assert.equal("ready: it wrote a line with '100% (up).' in it", state_of(orrery).web.reason)
    end)
  end)
end)

describe("hooks", function()
  it("run in order, as the service, with its environment", function()
    local dir = with_stack([[
      web = { port = "auto", healthEndpoint = "/", env = { WHO = "me" }, stop = { timeout = 5 },
        exec = { "python3", "-m", "http.server", "${port}", "--bind", "${bind}" },
        hooks = { timeout = 20,
          beforeStart = { "sh", "-c", "echo before $WHO ${port} >> " .. DIR .. "/log" },
          afterStart = { command = { "sh", "-c", "sleep 0.3; echo after >> " .. DIR .. "/log" },
            timeout = 20 },
          onHealthy = function(ctx, instance)
            local result = ctx.run({ "sh", "-c", "echo healthy $WHO >> " .. DIR .. "/log" })
            if result.code ~= 0 then return nil, result.stderr end
            ctx.log("it is " .. instance.service)
          end,
          beforeStop = { "sh", "-c", "echo stopping >> " .. DIR .. "/log; exit 3" },
          afterStop = { "sh", "-c", "echo stopped >> " .. DIR .. "/log" } } },
    ]], function(orrery, dir, code, text)
      assert.equal(0, code, text)
      support.wait_until(function() return support.read(dir .. "/log"):find("healthy") end)
      orrery("restart", "web")
      orrery("wait", "web")
      support.wait_until(function()
        return select(2, support.read(dir .. "/log"):gsub("healthy", "")) == 2
      end)
      local failed = {}
      for _, event in ipairs(events_of(orrery, "hook")) do
        if event.to == "failed" then failed[#failed + 1] = event.hook .. ": " .. event.reason end
      end
      assert.same({ "beforeStop: hooks.beforeStop: sh: exited with 3: " }, failed)
    end)
    local round = "before me N\nafter\nhealthy me\nstopping\nstopped\n"
    local log = support.read(dir .. "/log"):gsub("me %d+", "me N")
    assert.equal(round .. round, log)
  end)

  it("fail the start, or hang, without holding anybody else up", function()
    with_stack([[
      bad = { exec = { "sleep", "600" }, restart = { policy = "never" },
        hooks = { beforeStart = { "sh", "-c", "echo no disk >&2; exit 7" } } },
      slow = { exec = { "sleep", "600" }, restart = { policy = "never" }, hooks = { timeout = 0.5,
        beforeStart = { "sleep", "600" } } },
      stuck = { exec = { "sleep", "600" }, stop = { timeout = 5 }, hooks = {
        afterStart = function(ctx) ctx.sleep(600) end } },
      broken = { exec = { "sleep", "600" }, hooks = {
        afterStart = { run = function() error("no such thing") end, timeout = 5 } } },
      spin = { exec = { "sleep", "600" }, hooks = {
        afterStart = function() while true do end end } },
      fine = { exec = { "sleep", "600" } },
    ]], function(orrery, _, code, text)
      assert.equal(1, code, text)
      local state = state_of(orrery)
      assert.equal("running", state.fine.state)
      assert.equal("running", state.stuck.state)
      assert.truthy(state.bad.reason:find("hooks.beforeStart: sh: exited with 7: no disk", 1, true),
        state.bad.reason)
      assert.truthy(state.slow.reason:find("still running after 0.5 s, and was ended", 1, true),
        state.slow.reason)
      local reasons = {}
      support.wait_until(function()
        for _, event in ipairs(events_of(orrery, "hook")) do
          reasons[event.service] = event.reason
        end
        return reasons.broken and reasons.spin
      end, 20)
      assert.truthy(reasons.broken:find("no such thing", 1, true), reasons.broken)
      assert.is_nil(reasons.stuck)
    end)
  end)

  it("tell of an end that nobody asked for", function()
    with_stack([[
      web = { exec = { "sleep", "600" }, restart = { policy = "never" }, hooks = {
        onUnhealthy = { "sh", "-c", "echo unhealthy >> " .. DIR .. "/log" },
        afterStop = { "sh", "-c", "echo stopped >> " .. DIR .. "/log" } } },
    ]], function(orrery, dir, code, text)
      assert.equal(0, code, text)
      core.process.run { argv = { "kill", "-9", ("%d"):format(state_of(orrery).web.pid) } }
      support.wait_until(function()
        return support.exists(dir .. "/log")
          and support.read(dir .. "/log") == "unhealthy\nstopped\n"
      end)
    end)
  end)
end)

describe("a oneshot", function()
  it("publishes values that become its fields, for which others wait by themselves", function()
    with_stack([[
      setup = { oneshot = true, exec = { "sh", "-c", "echo run >> " .. DIR .. "/runs; sleep 0.5; "
        .. "(echo did=did:plc:abc; echo admin_key=k=1) > $ORRERY_OUTPUT" } },
      user = { exec = { "sh", "-c", "echo \"$D $K\" > " .. DIR .. "/seen; exec sleep 600" },
        env = { D = "${service.setup.did}", K = "${service.setup.admin_key}" },
        config = { ["my.env"] = { template = "DID=${service.setup.did}\n" } } },
    ]], function(orrery, dir, code, text)
      assert.equal(0, code, text)
      support.wait_until(function() return support.exists(dir .. "/seen") end)
      assert.equal("did:plc:abc k=1\n", support.read(dir .. "/seen"))
      local state = state_of(orrery)
      assert.equal("done", state.setup.state)
      assert.equal(0, state.user.restarts)
      local kept = dir .. "/state/outputs/setup.json"
      assert.equal(384, core.file.stat(kept).mode & 511)
      assert.same({ did = "did:plc:abc", admin_key = "k=1" },
        core.json.decode(support.read(kept)))
      local _, rendered = orrery("render", "user")
      assert.truthy(rendered:find("DID=did:plc:abc", 1, true), rendered)
      orrery("start", "user") -- what is done is not done again
      assert.equal("run\n", support.read(dir .. "/runs"))
      orrery("restart", "setup")
      support.wait_until(function() return support.read(dir .. "/runs") == "run\nrun\n" end)
      orrery("wait", "setup")
    end)
  end)

  it("fails when what it publishes cannot be taken, and is tried again", function()
    with_stack([[
      setup = { oneshot = true, restart = { policy = "never" },
        exec = { "sh", "-c", "echo 'did=a\nnot a line' > $ORRERY_OUTPUT" } },
      flaky = { oneshot = true, restart = { backoff = { 0.1, 0.1 } }, exec = { "sh", "-c",
        "[ -e " .. DIR .. "/once ] || { touch " .. DIR .. "/once; exit 1; }; "
        .. "echo token=t > $ORRERY_OUTPUT" } },
      user = { exec = { "sh", "-c", "[ ${service.flaky.token} = t ] && exec sleep 600" },
        dependencies = { "flaky" } },
    ]], function(orrery, _, code, text)
      assert.equal(1, code, text)
      local state = state_of(orrery)
      assert.equal("failed", state.setup.state)
      assert.truthy(state.setup.reason:find("line 2 of its $ORRERY_OUTPUT: expected name=value", 1,
        true), state.setup.reason)
      assert.equal("done", state.flaky.state)
      assert.equal("running", state.user.state, state.user.reason)
    end)
  end)
end)
