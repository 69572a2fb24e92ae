--- checking -- checks that go on, each at its own pace, while somebody looks: `check --watch`.
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local present = require "orrery.cli.present"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local process, task = core.process, core.task

local M = {}

local BEAT = 1 -- seconds between two pictures, for latencies change while health does not
local HOME_AND_CLEAR = "\27[H\27[J"
local HEADER = { "INSTANCE", "CHECK", "ROLE", "HEALTH", "LATENCY", "MESSAGE" }

local function start(check)
  if not check.spec then return false, check.result.message end
  if luacheck.is(check.spec) then return pcall(luacheck.start, check.spec, check.about) end
  return pcall(core.check.start, check.spec)
end

local function follow(check, changes)
  for change in function() return check.handle:next() end do
    check.state, check.message, check.latency = change.state, change.message, change.latency
    changes:push(check)
  end
end

--- What it was rendered to may make no check: then it fails for good.
local function open(check, changes)
  local ok, handle = start(check)
  check.state = "unknown"
  if ok then
    check.handle, check.following = handle, task.spawn(follow, check, changes)
  else
    check.state, check.message = "failing", tostring(handle)
    changes:push(check)
  end
end

local function close(checks)
  for _, check in ipairs(checks) do
    if check.handle then
      check.following:cancel()
      check.handle:close()
    end
  end
end

-- ---- what is shown ----

local function picture(checks)
  local rows = {}
  for i, check in ipairs(checks) do
    local last = check.handle and check.handle:last()
    rows[i] = { check.instance, check.name, check.role, check.state,
      ui.duration(last and last.latency), last and last.message or check.message }
  end
  local lines = ui.table(HEADER, rows, function(column, cell)
    return column == 4 and ui.state_colour(cell) or nil
  end)
  ui.write(HOME_AND_CLEAR .. table.concat(lines, "\n") .. "\n")
end

local function as_json(check)
  return { at = core.time.now(), service = check.service, instance = check.instance,
    check = check.name, role = check.role, state = check.state, message = check.message,
    latency = check.latency }
end

local function tell(check, json)
  if json then return present.json_line(as_json(check)) end
  ui.out("%s %s (%s) is %s%s: %s", check.instance, check.name, check.role, check.state,
    check.latency and " after " .. ui.duration(check.latency) or "",
    ui.clean(check.message or ""))
end

local function show(checks, changes, options)
  local live = ui.is_terminal(1) and not options.json
  while true do
    if live then picture(checks) end
    local change, _, code = changes:pop(live and BEAT or nil)
    if change and not live then tell(change, options.json) end
    if not change and code ~= "timeout" then return end
  end
end

local function all_pass(checks)
  for _, check in ipairs(checks) do
    if check.state ~= "passing" then return false end
  end
  return true
end

--- Runs the checks until a signal comes; options: json. The exit code tells how they were then.
function M.watch(checks, options)
  local signals <close> = process.signals { "INT", "TERM", "HUP" }
  local changes = task.queue()
  for _, check in ipairs(checks) do open(check, changes) end
  local showing = task.spawn(show, checks, changes, options)
  local ended = false
  local ending = task.spawn(function()
    ended = signals:next() ~= nil
    showing:cancel()
  end)
  local _, message, code = showing:join()
  ending:cancel()
  close(checks)
  if code and not ended then error(message, 0) end
  return all_pass(checks) and session.OK or session.UNHEALTHY
end

return M
