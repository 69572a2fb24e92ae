local backend = require "orrery.cli.backend"
local core = require "orrery.core"
local records = require "orrery.cli.records"
local session = require "orrery.cli.session"
local suggest = require "orrery.suggest"
local ui = require "orrery.cli.ui"

--- A value as sh reads it.
local function word(text)
  if text:find("^[%w_@%%+:,./=\128-\255-]*$") then return text end
  return '"' .. text:gsub('["\\$`]', "\\%0") .. '"'
end

local function print_lines(variables)
  local lines = {}
  for i, name in ipairs(suggest.names(variables)) do
    lines[i] = name .. "=" .. word(variables[name]) .. "\n"
  end
  ui.write(table.concat(lines))
end

return {
  name = "env",
  group = "look",
  summary = "print ATPROTO_SERVICE_* variables of what is registered in discovery",
  arguments = "[SERVICE]",
  options = backend.with {{name = "json", summary = "print JSON"}},
  details = 'The lines are for a shell: eval "$(orrery env)", or an env file; after `set -a` sh '
    .. "exports them, too. Without SERVICE all services are printed. What the names mean is in "
    .. "backends/README.md.",
  exits = {"0    printed", "1    no instance of SERVICE is registered", "2    wrong usage",
    "3    the stack is invalid", "4    the backend could not be reached"},
  example = "orrery -f simple-pds env pds",
  run = function(ctx)
    local name = ctx.args[1] and records.check_name(ctx.args[1])
    local discovery <close>, plan = backend.open(ctx)
    local list = name and records.lookup(discovery, plan, name) or records.all(discovery, plan)
    local variables, message = core.discovery.environment(list, plan.discovery.envPrefix)
    if not variables then session.fail(session.UNHEALTHY, "%s", message) end
    if name and #list == 0 then ui.note("no healthy instance of '%s' is registered", name) end
    if ctx.options.json then ui.json(variables) else print_lines(variables) end
    return name and #list == 0 and session.UNHEALTHY or session.OK
  end,
}
