--- rendering -- the config files of a stack as commands show them.
local args = require "orrery.cli.args"
local core = require "orrery.core"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"
local view = require "orrery.view"

local M = {}

local DIFF_TIMEOUT = 10

local function base(path) return path:match("[^/]*$") end

--- Notes what the files ask for, where somebody wants to know.
local function note_uses(seen, files, uses)
  if not seen.uses then return end
  local sets = { uses }
  for _, file in ipairs(files or {}) do sets[#sets + 1] = file.uses end
  for _, set in ipairs(sets) do for name in pairs(set) do seen.uses[name] = true end end
end

--- Rendered files of one instance, or the end of the command with every problem.
local function render(stack, seen, i, secrets)
  local context = view.context(stack, seen, i, secrets)
  local files, problems, uses = require("orrery.render").files(stack, i.service.name, context)
  note_uses(seen, files, uses)
  if files then return files end
  local pending = require("orrery.render").is_pending(problems)
  if pending and seen.discovery.fail then seen.discovery.fail() end
  session.fail(pending and session.UNHEALTHY or session.INVALID,
    "the files of service '%s' cannot be rendered:\n%s", i.service.name,
    require("orrery.problem").list(view.tidy(problems)))
end

local function names_to_render(stack, wanted)
  if wanted and stack.services[wanted] then return { wanted } end
  local names = {}
  for name, service in pairs(stack.services) do
    if not service.external and next(service.config or {}) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- A stack without files is no use to whoever waits for their changes.
function M.require_files(stack)
  if #names_to_render(stack) > 0 then return end
  args.misuse("no service of stack '%s' has `config` files: there is nothing to watch", stack.name)
end

--- All files, or those of the service or of the file name `wanted`: a list of {service, file}.
function M.collect(stack, seen, wanted, secrets)
  local found, is_service = {}, wanted and stack.services[wanted]
  for _, name in ipairs(names_to_render(stack, wanted)) do
    for _, file in ipairs(render(stack, seen, seen.by_service[name][1], secrets)) do
      if not wanted or is_service or file.path == wanted or base(file.path) == base(wanted) then
        found[#found + 1] = { service = name, file = file }
      end
    end
  end
  if wanted and not is_service and #found == 0 then
    args.misuse("%q is neither a service of stack '%s' nor one of its config files", wanted,
      stack.name)
  end
  return found
end

--- The texts, each with its name above it where there are several.
function M.text_of(found)
  local parts = {}
  for i, item in ipairs(found) do
    local head = ("%s# %s: %s\n"):format(i > 1 and "\n" or "", item.service, item.file.path)
    parts[i] = (#found > 1 and head or "") .. item.file.text:gsub("\n*$", "\n")
  end
  return table.concat(parts)
end

--- Prints them.
function M.show(found) ui.write(M.text_of(found)) end

function M.show_json(found)
  local list = {}
  for i, item in ipairs(found) do
    list[i] = { service = item.service, path = item.file.path, text = item.file.text,
      secret = item.file.secret or false }
  end
  ui.json(ui.list(list))
end

--- Writes one below `folder`: its path, and whether it has changed.
local function write_one(item, folder)
  local path = ("%s/%s/%s"):format(folder, item.service, base(item.file.path))
  if core.file.read(path) == item.file.text then return path, false end
  local ok, message = core.file.mkdir(folder .. "/" .. item.service)
  if ok then ok, message = core.file.write(path, item.file.text, { mode = 416 }) end
  if not ok then session.fail(session.UNHEALTHY, "%s", message) end
  return path, true
end

--- Writes them below `folder`, one folder a service, and lists them. options: json, only_changed
--- (lists only those).
function M.write_out(found, folder, options)
  local rows = {}
  for i, item in ipairs(found) do
    local path, is_changed = write_one(item, folder)
    rows[i] = { service = item.service, path = path }
    if not options.json and (is_changed or not options.only_changed) then ui.out("%s", path) end
  end
  if options.json then ui.json(ui.list(rows)) end
end

--- The lines in which a file differs from what is on the disk; not of a file with secrets, for an
-- old line may hold one too.
function M.differences(file, disk)
  if file.secret then return "(it holds secrets, so the lines are not shown)" end
  local path = file.path
  local result = core.process.run({ argv = { "diff", "-u", "--label", path, "--label",
    path .. " (rendered)", "--", disk and path or "/dev/null", "-" }, input = file.text,
    timeout = DIFF_TIMEOUT })
  return result and result.stdout:gsub("\n*$", "") or "(diff is not installed)"
end

--- How a file compares with what is on the disk: {service, path, state = "same", "differs" or
--- "absent", diff (if `with_lines`)}.
function M.compared(item, with_lines)
  local file = item.file
  local disk = core.file.read(file.path)
  local state = disk == file.text and "same" or disk and "differs" or "absent"
  return { service = item.service, path = file.path, state = state,
    diff = with_lines and state ~= "same" and M.differences(file, disk) or nil }
end

--- Compares with what is on the disk; `real` has the real secrets: compared, not shown.
function M.compare(real, options)
  local rows, code = {}, session.OK
  for i, item in ipairs(real) do
    rows[i] = M.compared(item, options.diff)
    if rows[i].state ~= "same" then code = session.UNHEALTHY end
  end
  if options.json then
    ui.json(ui.list(rows))
    return code
  end
  for _, row in ipairs(rows) do
    if row.state ~= "same" then
      ui.out("%s %s", row.path, row.state == "differs" and "differs" or "is not there yet")
      if row.diff then ui.out("%s", row.diff) end
    end
  end
  return code
end

return M
