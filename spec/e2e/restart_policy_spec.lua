-- What an exit means by a service's restart policy.
local core = require "orrery.core"
local support = require "support"
local agents = require "support.agents"
local machine = require "orrery.supervisor.machine"
local restart = require "orrery.supervisor.restart"
local stacks = require "support.stacks"
local writer = require "orrery.supervisor.writer"

local function policy(fields)
  local made = { policy = "always", max = 10, window = 600, backoff = { 0.5, 60 } }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local function code(n) return { code = n, ok = n == 0, message = "exited with code " .. n } end
local function signal(name) return { signal = name, ok = false, message = "killed by " .. name } end

describe("the restart policy", function()
  it("always, on-failure and never are what they say", function()
    for name, expected in pairs({ always = { true, true, true }, ["on-failure"] = { false, true,
      true }, never = { false, false, false } }) do
      local p = policy({ policy = name })
      assert.same(expected, { (restart.again(p, code(0))), (restart.again(p, code(3))),
        (restart.again(p, signal("KILL"))) }, name)
    end
    assert.is_false((restart.again(policy(), code(0), true))) -- a oneshot that succeeded
    assert.is_true((restart.again(policy(), code(1), true)))
  end)

  it("has exits that count as success: codes, ranges, signals", function()
    local p = policy({ successExit = { 143, "3-5", "TERM" } })
    for _, exit in ipairs({ code(0), code(143), code(3), code(5), signal("TERM") }) do
      assert.is_true(restart.success(p, exit))
    end
    for _, exit in ipairs({ code(1), code(2), code(6), signal("KILL") }) do
      assert.is_false(restart.success(p, exit))
    end
    assert.is_true(restart.success(policy({ successExit = 7 }), code(7)))
  end)

  it("has exits that prevent a restart, and exits that force one, and prevention wins", function()
    local p = policy({ preventExit = "100-110", forceExit = { 75, 105 } })
    assert.same({ false, "restart.preventExit has it" }, { restart.again(p, code(100)) })
    assert.is_false((restart.again(p, code(105))))
    assert.is_true((restart.again(p, code(111))))
    local never = policy({ policy = "never", forceExit = { 75, "USR1", 0 } })
    assert.same({ true, "restart.forceExit has it" }, { restart.again(never, code(75)) })
    assert.is_true((restart.again(never, signal("USR1"))))
    assert.is_true((restart.again(never, code(0), true))) -- a oneshot that asks for another run
    assert.is_false((restart.again(never, code(76))))
  end)

  it("ends a service as failed or done, with the reason", function()
    local function ended(fields, exit)
      local i = { state = "running", desired = "up", restart = policy(fields), exit = exit }
      local transition = machine.step(i, { now = 1, gate = { open = true }, may_retry = true })
      return transition.to, transition.reason
    end
    assert.same({ "failed", "exited with code 100; restart.preventExit has it" },
      { ended({ preventExit = { 100 } }, code(100)) })
    local good = signal("TERM")
    good.ok = true
    assert.equal("done", (ended({ policy = "on-failure", successExit = "TERM" }, good)))
    assert.equal("backoff", (ended({ policy = "never", forceExit = 3 }, code(3))))
    assert.equal("done", (ended({ policy = "never" }, code(0))))
  end)

  it("waits 0.5 s, doubling to 60 s, never longer, less up to a quarter by chance", function()
    local expected = { 0.5, 1, 2, 4, 8, 16, 32, 60, 60 }
    for failures, seconds in ipairs(expected) do
      assert.equal(seconds, restart.delay(policy(), failures, 0))
      local shortest = restart.delay(policy(), failures, 0.999999)
      assert.is_true(shortest >= 0.75 * seconds - 0.002 and shortest < 0.76 * seconds)
    end
    assert.equal(60, restart.delay(policy(), 100000, 0))
    assert.equal(3, restart.delay(policy({ backoff = { 3 } }), 9, 0))
  end)

  it("begins to count anew after 60 s healthy, not before", function()
    local now = core.time.monotonic()
    local i = { failures = 5, healthy_since = now - 59 }
    writer.end_healthy(i)
    assert.same({ 5, nil }, { i.failures, i.healthy_since })
    i.healthy_since = now - 60
    writer.end_healthy(i)
    assert.equal(0, i.failures)
  end)

  it("leaves room for ten restarts in ten minutes", function()
    local times = {}
    for n = 1, 9 do times[n] = 1000 + n end
    assert.is_true(restart.may_retry(policy(), times, 1010))
    times[10] = 1010
    assert.is_false(restart.may_retry(policy(), times, 1011))
    assert.is_true(restart.may_retry(policy(), times, 1001 + 600)) -- the first is old
  end)
end)

describe("the lists of a restart policy in a stack", function()
  local function load(text)
    return stacks.problems_of(support.tmp(), "return { services = { a = { " .. stacks.EXEC
      .. ", restart = { " .. text .. " } } } }")
  end

  it("take codes, ranges and signals, one or several", function()
    local loaded = stacks.good(support.tmp(), "return { services = { a = { " .. stacks.EXEC
      .. [[, restart = { successExit = 143, preventExit = { 2, "100-110", "ABRT" },
      forceExit = "1-255" } } } }]])
    assert.same({ 2, "100-110", "ABRT" }, loaded.services.a.restart.preventExit)
  end)

  it("say what is wrong with them", function()
    assert.matches('services%.a%.restart%.preventExit%[2%]: expected an exit code, a range such as '
      .. '"100%-110", or a signal', load('preventExit = { 1, "TREM" }')[1])
    assert.matches("forceExit: 256 is not from 0 to 255", load("forceExit = 256")[1])
    assert.matches("successExit: 9%-3 is no range within 0%-255", load('successExit = "9-3"')[1])
    assert.matches("successExit: 9%-300 is no range", load('successExit = { "9-300" }')[1])
  end)
end)

describe("real processes", function()
  it("end as their lists say", function()
    local backoff = "backoff = { 0.05, 0.05 }"
    agents.with(agents.service("prevented", "exit 105", "restart = { preventExit = '100-110' }")
      .. agents.service("good", "kill -TERM $$; sleep 600", "restart = { policy = 'on-failure', "
        .. "successExit = { 3, 'TERM' } }")
      .. agents.service("forced", "echo >> DIR/forced; [ $(wc -l < DIR/forced) -ge 3 ] && exit 0; "
        .. "exit 75", "restart = { policy = 'never', forceExit = 75, " .. backoff .. " }")
      .. agents.service("often", "echo >> DIR/often; exit 1", "restart = { max = 4, "
        .. backoff .. " }"), function(agent)
      local i = agent:reach(function(found)
        return found.prevented.state == "failed" and found.good.state == "done"
          and found.forced.state == "done" and found.often.state == "failed"
      end, "all to end")
      assert.equal("exited with code 105; restart.preventExit has it", i.prevented.reason)
      assert.equal("killed by signal TERM", i.good.reason)
      assert.equal("\n\n\n", agent:text("forced"))
      assert.equal("exited with code 1; it was restarted 4 times within 600 s", i.often.reason)
      assert.equal("\n\n\n\n\n", agent:text("often"))
    end)
  end)
end)
