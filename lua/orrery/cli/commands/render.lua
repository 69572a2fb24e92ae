local args = require "orrery.cli.args"
local core = require "orrery.core"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"
local view = require "orrery.cli.view"

local DIFF_TIMEOUT = 10

local function base(path)
  return path:match("[^/]*$")
end

--- Rendered files of one instance, or the end of the command with every problem.
local function render(stack, seen, i, secrets)
  local context = view.context(stack, seen, i, secrets)
  local files, problems = require("orrery.render").files(stack, i.service.name, context)
  if files then return files end
  session.fail(session.INVALID, "the files of service '%s' cannot be rendered:\n%s",
    i.service.name, require("orrery.problem").list(view.tidy(problems)))
end

local function names_to_render(ctx, stack)
  if ctx.args[1] and stack.services[ctx.args[1]] then return {ctx.args[1]} end
  local names = {}
  for name, service in pairs(stack.services) do
    if not service.external and next(service.config or {}) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- All files, or those of the service or of the file name that was given: {service, file}.
local function collect(ctx, stack, secrets)
  local seen, wanted, found = view.of(stack), ctx.args[1], {}
  local is_service = wanted and stack.services[wanted]
  for _, name in ipairs(names_to_render(ctx, stack)) do
    for _, file in ipairs(render(stack, seen, seen.by_service[name][1], secrets)) do
      if not wanted or is_service or file.path == wanted or base(file.path) == base(wanted) then
        found[#found + 1] = {service = name, file = file}
      end
    end
  end
  if wanted and not is_service and #found == 0 then
    args.misuse("%q is neither a service of stack '%s' nor one of its config files", wanted,
      stack.name)
  end
  return found
end

local function show(found)
  for i, item in ipairs(found) do
    if #found > 1 then ui.out("%s# %s: %s", i > 1 and "\n" or "", item.service, item.file.path) end
    ui.write((item.file.text:gsub("\n*$", "\n")))
  end
end

local function write_out(found, folder)
  for _, item in ipairs(found) do
    local path = ("%s/%s/%s"):format(folder, item.service, base(item.file.path))
    local ok, message = core.file.mkdir(folder .. "/" .. item.service)
    if ok then ok, message = core.file.write(path, item.file.text, {mode = 416}) end
    if not ok then session.fail(session.UNHEALTHY, "%s", message) end
    ui.out("%s", path)
  end
end

--- The lines that differ; not those of a file with secrets, for an old line may hold one too.
local function differences(item, real, disk)
  if item.file.secret then return "(it holds secrets, so the lines are not shown)" end
  local path = item.file.path
  local result = core.process.run({argv = {"diff", "-u", "--label", path, "--label",
    path .. " (rendered)", "--", disk and path or "/dev/null", "-"}, input = real.text,
    timeout = DIFF_TIMEOUT})
  return result and result.stdout:gsub("\n*$", "") or "(diff is not installed)"
end

--- Compares with what is on the disk; the real secrets are compared, never shown.
local function compare(ctx, stack, found)
  local real, changed = collect(ctx, stack, view.known_secrets(stack)), 0
  for i, item in ipairs(found) do
    local path = item.file.path
    local disk = core.file.read(path)
    if disk ~= real[i].file.text then
      changed = changed + 1
      ui.out("%s", disk and path .. " differs" or path .. " is not there yet")
      if ctx.options.diff then ui.out("%s", differences(item, real[i].file, disk)) end
    end
  end
  return changed == 0 and session.OK or session.UNHEALTHY
end

return {
  name = "render",
  group = "prepare",
  summary = "show config files as they would be written",
  arguments = "[SERVICE|FILE]",
  options = {
    {name = "out", value = "DIR", summary = "write them to DIR/SERVICE/ instead of showing them"},
    {name = "diff", summary = "show how they differ from what is on the disk"},
    {name = "check", summary = "only say which differ"},
    {name = "json", summary = "print JSON"},
  },
  details = "Without an argument the files of every service are rendered. Secrets are shown, and "
    .. "written by --out, as ***.",
  exits = {"0    rendered; with --diff and --check: nothing differs", "1    something differs, or "
    .. "DIR cannot be written", "2    wrong usage",
    "3    the stack is invalid, or a file cannot be rendered"},
  example = "orrery -f simple-pds render pds --diff",
  run = function(ctx)
    local stack = session.stack(ctx)
    local found = collect(ctx, stack, view.hidden_secrets())
    if ctx.options.diff or ctx.options.check then return compare(ctx, stack, found) end
    if ctx.options.out then return write_out(found, ctx.options.out) end
    if not ctx.options.json then return show(found) end
    local list = {}
    for i, item in ipairs(found) do
      list[i] = {service = item.service, path = item.file.path, text = item.file.text,
        secret = item.file.secret or false}
    end
    ui.json(ui.list(list))
  end,
}
