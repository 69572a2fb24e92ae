local core = require "orrery.core"
local logfile = require "orrery.cli.logfile"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local COLOURS = {"cyan", "yellow", "green", "magenta", "blue"}

local function instances(stack, names)
  local ids = {}
  for _, name in ipairs(names) do
    for _, id in ipairs(stack.services[name].instances or {}) do ids[#ids + 1] = id end
  end
  return ids
end

local function printer(ctx, ids)
  local width, colours = 0, {}
  for i, id in ipairs(ids) do
    width = math.max(width, #id)
    colours[id] = COLOURS[(i - 1) % #COLOURS + 1]
  end
  return function(line)
    if ctx.options.json then
      return ui.json_line({at = line.at, instance = line.id, stream = line.stream,
        text = line.text})
    end
    local text = ui.is_terminal(1) and line.text:gsub("[\0-\8\11-\26\28-\31\127]", " ") or line.text
    ui.out("%s %s %s", ui.paint("dim", line.at),
      ui.paint(colours[line.id], ("%-" .. width .. "s |"):format(line.id)), text)
  end
end

local function show_last(stack, ids, count, print_line)
  local lists = {}
  for i, id in ipairs(ids) do lists[i] = {id = id, lines = logfile.last(stack, id, count)} end
  for _, line in ipairs(logfile.merge(lists)) do print_line(line) end
end

local function show_new(readers, print_line)
  local lists = {}
  for i, reader in ipairs(readers) do lists[i] = {id = reader.id, lines = logfile.read(reader)} end
  for _, line in ipairs(logfile.merge(lists)) do print_line(line) end
end

--- Follows until it is interrupted. The folder is watched, so a rotation is seen too.
local function follow(stack, ids, count, print_line)
  local watch, message = core.file.watch(stack.dirs.logs)
  if not watch then session.fail(session.UNHEALTHY, "%s", message) end
  show_last(stack, ids, count, print_line)
  local readers = {}
  for i, id in ipairs(ids) do readers[i] = logfile.follow(stack, id) end
  repeat
    show_new(readers, print_line)
  until not watch:next()
end

local function note_missing(stack, ids)
  for _, id in ipairs(ids) do
    if logfile.exists(stack, id) then return end
  end
  ui.note("there are no logs yet (looked in %s)", stack.dirs.logs)
end

local function refuse_hidden(stack, ids)
  for _, id in ipairs(ids) do
    local ok, message = logfile.may_read(stack, id)
    if not ok then
      session.fail(session.UNHEALTHY, "%s; run this as a user who may read it", message)
    end
  end
end

return {
  name = "logs",
  group = "look",
  summary = "show what services wrote, in the order of time",
  arguments = "[SERVICE...]",
  options = {
    {name = "follow", short = "f", summary = "go on with every new line, through rotation"},
    {name = "lines", short = "n", value = "NUMBER", type = "integer", default = 50,
      summary = "begin with the last lines of each service"},
    {name = "json", summary = "print one JSON object a line"},
  },
  details = "Reads the log files, so it works whether or not an agent is running.",
  exits = {"0    shown", "1    the logs cannot be read", "2    wrong usage",
    "3    the stack is invalid"},
  example = "orrery -f simple-pds logs -f pds",
  run = function(ctx)
    local stack = session.stack(ctx)
    local ids = instances(stack, session.services(ctx, stack))
    local print_line = printer(ctx, ids)
    refuse_hidden(stack, ids)
    note_missing(stack, ids)
    if ctx.options.follow then
      core.file.mkdir(stack.dirs.logs)
      return follow(stack, ids, ctx.options.lines, print_line)
    end
    show_last(stack, ids, ctx.options.lines, print_line)
  end,
}
