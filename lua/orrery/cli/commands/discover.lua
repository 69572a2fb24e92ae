local backend = require "orrery.cli.backend"
local records = require "orrery.cli.records"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function show(ctx, list, many)
  if ctx.options.json and many then return ui.json_line(ui.list(list)) end
  if ctx.options.json then return ui.json(ui.list(list)) end
  if #list > 0 then return records.print(list) end
  ui.note("no healthy instance of '%s' is registered", ctx.args[1])
end

--- What is known without having been asked for just now: from another backend, or from before.
local function tell_state(plan, info, told)
  local state = info.stale and (info.error or "the answer is old") or nil
  if state and state ~= told then
    ui.note("%s; this is what %s knows", state, info.source or "somebody")
  elseif told and not state then
    ui.note("discovery backend %s works again", plan.discovery.backend)
  end
  return state
end

local function same(a, b)
  local json = require("orrery.core").json
  return a and json.encode(ui.list(a)) == json.encode(ui.list(b))
end

--- Until somebody ends it. A backend that errs meanwhile is told of, and asked again.
local function watch(ctx, discovery, plan)
  local watching = discovery:watch(ctx.args[1])
  local list, info, code = watching:next()
  if not list then backend.fail(plan, info, code) end
  local shown, told
  while true do
    if list then
      told = tell_state(plan, info, told)
      if not same(shown, list) then show(ctx, list, true) end
      shown = list
    end
    list, info = watching:next()
  end
end

return {
  name = "discover",
  group = "look",
  summary = "show where a service is, as discovery has it",
  arguments = "SERVICE",
  options = backend.with {
    {name = "watch", short = "w", summary = "show it again at every change"},
    {name = "json", summary = "print JSON (one list a line with --watch)"},
  },
  exits = {"0    found", "1    no instance is registered", "2    wrong usage",
    "3    the stack is invalid", "4    the backend could not be reached"},
  example = "orrery -f simple-pds discover pds --json",
  run = function(ctx)
    records.check_name(ctx.args[1])
    local discovery <close>, plan = backend.open(ctx)
    if ctx.options.watch then return watch(ctx, discovery, plan) end
    local list = records.lookup(discovery, plan, ctx.args[1])
    show(ctx, list)
    return #list > 0 and session.OK or session.UNHEALTHY
  end,
}
