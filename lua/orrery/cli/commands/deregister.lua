local backend = require "orrery.cli.backend"
local core = require "orrery.core"
local records = require "orrery.cli.records"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function ids_of(list)
  local ids, known = {}, {}
  for i, record in ipairs(list) do
    ids[i] = record.id
    known[record.id] = true
  end
  return table.concat(ids, ", "), known
end

return {
  name = "deregister",
  group = "run",
  summary = "take a service out of discovery",
  arguments = "SERVICE",
  options = backend.with {
    {name = "id", value = "ID", summary = "the instance's id (SERVICE@NODE)"},
  },
  details = "What a running agent or `register --hold` keeps registered comes back when they next "
    .. "renew it: end them instead.",
  exits = {"0    it is gone", "1    it was not there", "2    wrong usage",
    "3    the stack is invalid", "4    the backend could not be reached"},
  example = "orrery deregister pds --id pds@edge",
  run = function(ctx)
    local problems, name = {}, records.check_name(ctx.args[1])
    local plan = backend.read(ctx, problems)
    local id = ctx.options.id or name .. "@" .. plan.node
    local ok, message = core.discovery.record({ service = name, id = id, address = "x" })
    if not ok then problems[#problems + 1] = "--" .. message end
    backend.refuse(problems)
    local discovery <close> = backend.open_plan(plan, "deregister from")
    local before = discovery:lookup(name)
    local done, why, code = discovery:deregister(name, id)
    if not done then backend.fail(plan, why, code) end
    local ids, known = ids_of(before or {})
    if before and not known[id] then
      session.fail(session.UNHEALTHY, "no instance '%s' of %s was registered%s", id, name,
        #before > 0 and (" (there is: %s); name it with --id"):format(ids) or "")
    end
    ui.note("deregistered %s from discovery backend %s", id, plan.discovery.backend)
  end,
}
