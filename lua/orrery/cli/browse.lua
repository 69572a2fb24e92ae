--- browse -- `profile` and `type`: what plug-ins there are, and what is in one.
local args = require "orrery.cli.args"
local file = require("orrery.core").file
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

M.options = {{name = "json", summary = "print JSON"}}
M.exits = {"0    shown", "2    wrong usage, or there is none of that name"}

--- Plug-ins are also found beside the stack file.
local function stack_dir(ctx)
  local place = require("orrery.places").locate(session.target(ctx))
  return place and place.dir or "."
end

local function list(ctx, kind)
  local found = require("orrery.plugin").list(kind, stack_dir(ctx))
  if ctx.options.json then return ui.json(ui.list(found)) end
  local rows = {}
  for i, item in ipairs(found) do rows[i] = {item.name, item.path} end
  ui.print_table({kind:upper(), "FILE"}, rows)
end

local function show(ctx, kind, name)
  local path, message = require("orrery.plugin").find(kind, name, stack_dir(ctx))
  if not path then args.misuse("%s", message) end
  local text, problem = file.read(path)
  if not text then session.fail(session.UNHEALTHY, problem) end
  if ctx.options.json then return ui.json({name = name, path = path, source = text}) end
  ui.out("-- %s", path)
  ui.write((text:gsub("\n*$", "\n")))
end

function M.run(ctx, kind)
  local verb, name = ctx.args[1], ctx.args[2]
  if verb == "list" and not name then return list(ctx, kind) end
  if verb == "show" and name then return show(ctx, kind, name) end
  if verb == "show" then args.misuse("show needs a name: orrery %s show NAME", kind) end
  args.misuse("expected `%s list` or `%s show NAME`", kind, kind)
end

return M
