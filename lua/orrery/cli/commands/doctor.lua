local doctor = require "orrery.doctor"
local problem = require "orrery.problem"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local MARKS = { ok = "ok", warn = "warn", fail = "FAIL" }
local COLOURS = { ok = "green", warn = "yellow", fail = "red" }

local function invalid(ctx, problems)
  return { subject = "stack", state = "fail", message = ("%s is invalid: %s"):format(
    session.target(ctx), problem.line(problems):match("[^\n]*")),
    help = "`orrery validate` lists all that is wrong with it" }
end

--- Whether its graph and its templates hold, too.
local function of_whole(ctx, stack)
  local checked, problems = session.checked(ctx)
  if checked then return { subject = "stack", state = "ok", message = stack.name } end
  return invalid(ctx, problems)
end

--- The findings about the stack; one that cannot be loaded is a finding.
local function of_stack(ctx)
  local stack, problems = session.try_stack(ctx)
  if stack then
    local found = doctor.stack(stack)
    table.insert(found, 1, of_whole(ctx, stack))
    return found
  end
  if session.is_without_stack(ctx) then
    return { { subject = "stack", state = "ok", message = "none here; name one with -f" } }
  end
  return { invalid(ctx, problems) }
end

local function print(found)
  for _, item in ipairs(found) do
    ui.out("%s  %-14s %s", ui.paint(COLOURS[item.state], ("%-4s"):format(MARKS[item.state])),
      item.subject, ui.clean(item.message))
    if item.state ~= "ok" and item.help then ui.out("%s%s", (" "):rep(21), item.help) end
  end
end

return {
  name = "doctor",
  group = "prepare",
  summary = "look for what would go wrong, on this machine and in the stack",
  options = {{name = "json", summary = "print JSON"}},
  details = "Looks at folders, free space, users, ports, programs, secrets and the discovery "
    .. "backend. Changes nothing.",
  exits = {"0    nothing fails", "1    something fails", "2    wrong usage"},
  example = "orrery -f simple-pds doctor",
  run = function(ctx)
    local found = doctor.machine()
    table.move(of_stack(ctx), 1, 100, #found + 1, found)
    if ctx.options.json then ui.json(ui.list(found)) else print(found) end
    for _, item in ipairs(found) do
      if item.state == "fail" then return session.UNHEALTHY end
    end
    return session.OK
  end,
}
