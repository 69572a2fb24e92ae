local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local function count(services)
  local n = 0
  for _ in pairs(services) do n = n + 1 end
  return n
end

local function report_json(stack, problems)
  local list = {}
  for i, problem in ipairs(problems or {}) do
    list[i] = {path = problem.path, message = problem.message, file = problem.file,
      line = problem.line}
  end
  ui.json({valid = stack ~= nil, stack = stack and stack.name, problems = ui.list(list)})
end

return {
  name = "validate",
  group = "prepare",
  summary = "check a stack and list everything that is wrong with it",
  options = {{name = "json", summary = "print JSON"}},
  details = "Reads the stack, merges it, checks every key, the dependency graph and the templates. "
    .. "Nothing is started and nothing is written.",
  exits = {"0    valid", "2    wrong usage", "3    invalid"},
  example = "orrery -f stack.lua validate",
  run = function(ctx)
    local stack, problems = session.checked(ctx)
    if ctx.options.json then
      report_json(stack, problems)
      return stack and session.OK or session.INVALID
    end
    if not stack then session.refuse(ctx, problems) end
    local n = count(stack.services)
    ui.out("stack '%s' is valid: %d service%s", stack.name, n, n == 1 and "" or "s")
  end,
}
