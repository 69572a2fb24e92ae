local present = require "orrery.cli.present"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function heading(v)
  return ("%s %s (%s, for %s)"):format(ui.paint("bold", v.id), ui.clean(v.text), v.state,
    ui.duration(v.forSeconds))
end

local function print_waits(v)
  for _, wait in ipairs(v.waits) do
    local role = wait.holds and "waits for" or "lacks"
    ui.out("  %s %s (%s): %s", role, wait.service, wait.type, ui.clean(wait.reason))
  end
end

local function print_checks(v)
  for _, check in ipairs(v.checks) do
    ui.out("  check %s (%s) is %s%s", check.name, check.role, check.state,
      check.message and ": " .. ui.clean(check.message) or "")
  end
end

local function print_one(v)
  ui.out("%s", heading(v))
  print_waits(v)
  print_checks(v)
  if v.unblock then ui.out("  %s", v.unblock) end
  for depth, link in ipairs(v.chain) do
    local indent = ("  "):rep(depth)
    local root = depth == #v.chain and #v.chain > 1 and "root cause: " or ""
    ui.out("%s└─ %s%s", indent, root, heading(link))
    if link.unblock then ui.out("%s   %s", indent, link.unblock) end
  end
end

return {
  name = "why",
  group = "look",
  summary = "say why a service is as it is, what it waits for, and what would help",
  arguments = "SERVICE...",
  options = {{name = "json", summary = "print JSON"}},
  details = "For every state: what the service waits for and since when, the last words of its "
    .. "checks, what would unblock it, and the chain down to the root cause; while the stack "
    .. "stops, what holds the service up.",
  exits = {"0    it is as it should be", "1    it is not", "2    wrong usage",
    "3    the stack is invalid", "4    no agent is running"},
  example = "orrery -f simple-pds why pds",
  run = function(ctx)
    local stack = session.stack(ctx)
    local names = session.services(ctx, stack)
    local client = session.client(ctx, stack)
    local answers, fine = {}, true
    for n, name in ipairs(names) do
      local answer, message = client:why(name)
      if not answer then session.fail(session.UNREACHABLE, "%s", message) end
      answers[n], fine = answer, fine and answer.fine
    end
    if ctx.options.json then
      present.json(#answers == 1 and answers[1] or ui.list(answers))
    else
      for _, answer in ipairs(answers) do
        for _, v in ipairs(answer.instances) do print_one(v) end
      end
    end
    return fine and session.OK or session.UNHEALTHY
  end,
}
