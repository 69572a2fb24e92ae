require "support"
local machine = require "orrery.supervisor.machine"
local gate = require "orrery.supervisor.gate"

local function instance(fields)
  local i = { state = "stopped", desired = "up", health = "unknown", budget = 60,
    restart = { policy = "always", max = 10, window = 600, backoff = { 0.5, 60 } } }
  for key, value in pairs(fields or {}) do i[key] = value end
  return i
end

local function world(fields)
  local w = { now = 100, gate = { open = true }, may_stop = true, may_retry = true }
  for key, value in pairs(fields or {}) do w[key] = value end
  return w
end

local function step(i, w)
  local transition = machine.step(instance(i), world(w))
  transition = transition or {}
  return transition.to, transition.action, transition.reason
end

describe("the state machine", function()
  it("waits for its gate, then starts", function()
    assert.equals("waiting", (step({})))
    assert.is_nil(step({ state = "waiting" }, { gate = { open = false } }))
    local to, action = step({ state = "waiting" })
    assert.same({ "starting", "start" }, { to, action })
  end)

  it("is blocked when the budget is gone, and still starts the moment the gate opens", function()
    local closed = { gate = { open = false, blocked = true, why = "waiting: database is failed" } }
    assert.equals("blocked", (step({ state = "waiting" }, closed)))
    assert.is_nil(step({ state = "blocked" }, closed))
    assert.equals("starting", (step({ state = "blocked" })))
  end)

  it("runs once ready, or when the start budget is over", function()
    local starting = { state = "starting", spawned = true, waits_for_check = true }
    assert.is_nil(step(starting))
    starting.health = "passing"
    assert.equals("running", (step(starting)))
    starting.health = "unknown"
    assert.equals("running", (step(starting, { budget_over = true })))
  end)

  it("waits for what a service says itself, and starts it again if it never does", function()
    local starting = { state = "starting", spawned = true, health = "passing",
      waits_for_word = "it never said READY=1" }
    assert.is_nil(step(starting))
    local to, action, reason = step(starting, { budget_over = true })
    assert.same({ "stopping", "stop_unready" }, { to, action })
    assert.matches("it never said READY=1", reason)
    local unready = { state = "stopping", failed_live = true, failed_why = reason,
      exit = { ok = true, message = "stopped" } }
    assert.same({ "backoff", "backoff", reason }, { step(unready) })
    starting.ready = "it said READY=1"
    assert.equals("running", (step(starting)))
  end)

  it("restarts after an exit, unless the policy or the count forbids it", function()
    local exited = { state = "running", exit = { ok = false, message = "exited with code 1" } }
    assert.equals("backoff", (step(exited)))
    assert.equals("failed", (step(exited, { may_retry = false })))
    exited.restart = { policy = "never", max = 10, window = 600 }
    assert.equals("failed", (step(exited)))
    exited.restart.policy, exited.exit = "on-failure", { ok = true, message = "exited with code 0" }
    assert.equals("done", (step(exited)))
  end)

  it("treats a oneshot's success as done", function()
    local exited = { state = "starting", spawned = true, oneshot = true,
      exit = { ok = true, message = "" } }
    assert.equals("done", (step(exited)))
    exited.exit = { ok = false, message = "exited with code 3" }
    assert.equals("backoff", (step(exited)))
  end)

  it("stops only when it may, and goes back to waiting after a restart", function()
    assert.is_nil(step({ state = "running", desired = "down" }, { may_stop = false }))
    local to, action = step({ state = "running", desired = "down" })
    assert.same({ "stopping", "stop" }, { to, action })
    local gone = { state = "stopping", desired = "down", exit = { ok = true, message = "" } }
    assert.equals("stopped", (step(gone)))
    gone.desired = "up"
    assert.equals("waiting", (step(gone)))
  end)

  it("does not restart by a live check while a required dependency is down", function()
    local sick = { state = "running", live = false }
    assert.equals("stopping", (step(sick)))
    assert.is_nil(step(sick, { gate = { open = false, excuse = "database is failed" } }))
  end)

  it("follows onDependencyFailure", function()
    local lost = { gate = { open = false, lost = "database went down", impaired = "x" } }
    assert.is_nil(step({ state = "running", on_dependency_failure = "keep" }, lost))
    local running = { state = "running", on_dependency_failure = "restart" }
    assert.equals("stop", select(2, step(running, lost)))
    running.on_dependency_failure = "stop"
    assert.equals("hold", select(2, step(running, lost)))
  end)

  it("ends a stop also when the start it met came to nothing", function()
    local lost = { state = "stopping", desired = "down",
      start_error = { message = "no such program" } }
    assert.same({ "stopped" }, { (step(lost)) })
    lost.desired = "up"
    assert.equals("waiting", (step(lost)))
  end)

  it("counts no failure when what it is to stop ends by itself", function()
    local ended = { state = "running", desired = "down",
      exit = { ok = false, message = "killed by signal KILL" } }
    assert.equals("stopped", (step(ended, { may_stop = false })))
    ended.state, ended.desired, ended.again = "starting", "up", true
    assert.equals("waiting", (step(ended)))
  end)

  it("every state ends up down when down is desired and the process is gone", function()
    for _, state in ipairs({ "stopped", "waiting", "blocked", "starting", "running", "stopping",
      "backoff", "failed", "done" }) do
      local i, w = instance({ state = state, desired = "down", next_start = 1e9 }), world()
      for _ = 1, 5 do
        local transition = machine.step(i, w)
        if not transition then break end
        i.state = transition.to
        if transition.action == "stop" then i.exit = { ok = true, message = "" } end
      end
      if state == "stopping" then
        i.exit = { ok = true, message = "" }
        i.state = machine.step(i, w).to
      end
      assert.equals("stopped", i.state, state)
    end
  end)

end)

describe("the gate", function()
  local function look(kind, dependency, options)
    options = options or {}
    local i = { budget = 60, service = { dependencies = { database = { type = kind } } } }
    dependency.service = { name = "database" }
    i.verified = options.verified
    return gate.look(i, { of = function() return { dependency } end, groups = {}, checks_on = true,
      dropped = options.dropped or {}, waited = options.waited or 0, ran = options.ran or 0 })
  end

  it("holds a required dependent back until the dependency is healthy", function()
    assert.is_false(look("required", { state = "starting" }).open)
    assert.is_false(look("required", { state = "running", health = "failing" }).open)
    assert.is_false(look("required", { state = "running", health = "flapping" }).open)
    assert.is_true(look("required", { state = "running", health = "passing" }).open)
    assert.is_true(look("required", { state = "running", unchecked = true }).open)
    assert.is_true(look("required", { state = "done", oneshot = true }).open)
    assert.is_true(look("required", { state = "starting" }, { waited = 61 }).blocked)
  end)

  it("waits for an optional one within the budget, then starts degraded", function()
    assert.is_false(look("optional", { state = "failed" }).open)
    local late = look("optional", { state = "failed" }, { waited = 61 })
    assert.is_true(late.open)
    assert.matches("database is failed", late.degraded)
    assert.is_true(look("optional", { state = "failed" }, { dropped = { database = true } }).open)
  end)

  it("has a limit of its own for an edge that gives one, and tells when it is over", function()
    local i = { budget = 60, service = { dependencies = {
      database = { type = "required", timeout = 5 }, redis = { type = "optional" } } } }
    local function of(name)
      return { { state = "starting", service = { name = name } } }
    end
    local function at(waited)
      return gate.look(i, { of = of, groups = {}, dropped = {}, checks_on = true, waited = waited,
        ran = 0 })
    end
    local early, late = at(1), at(6)
    assert.same({ 5, false }, { early.next, early.blocked })
    assert.same({ 60, true }, { late.next, late.blocked })
  end)

  it("takes what is ready by starting as met, until its check says otherwise", function()
    local started = { state = "running", health = "unknown" }
    started.service = { name = "database", readyWhen = "started" }
    assert.is_true(gate.serves(started, true))
    started.health = "failing"
    assert.is_false(gate.serves(started, true))
  end)

  it("never waits for a soft or circular one", function()
    assert.is_true(look("soft", { state = "failed" }).open)
    assert.is_true(look("circular", { state = "waiting" }).open)
  end)

  it("misses a circular one only after the budget, or once it was there", function()
    local away = { state = "waiting" }
    local early = look("circular", away, { ran = 59 })
    assert.same({ nil, nil, 60 }, { early.impaired, early.lost, early.verify })
    assert.is_string(early.excuse)
    local late = look("circular", away, { ran = 60 })
    assert.is_string(late.impaired)
    assert.is_nil(late.lost)
    local gone = look("circular", away, { ran = 1, verified = { database = true } })
    assert.is_string(gone.impaired)
    assert.matches("^database went down", gone.lost)
    away.planned = true
    assert.is_nil(look("circular", away, { ran = 1, verified = { database = true } }).lost)
  end)

  it("does not call a planned restart a loss", function()
    assert.is_string(look("required", { state = "stopping" }).lost)
    assert.is_nil(look("required", { state = "stopping", planned = true }).lost)
  end)
end)
