local args = require "orrery.cli.args"
local backend = require "orrery.cli.backend"
local core = require "orrery.core"
local rendering = require "orrery.cli.rendering"
local session = require "orrery.cli.session"
local view = require "orrery.cli.view"

local STACKS = { "stack.lua", "stack.yaml", "stack.yml", "stack.json" }

local function has_stack()
  local named = os.getenv("ORRERY_STACK")
  if named and named ~= "" then return true end
  for _, name in ipairs(STACKS) do if core.file.stat(name) then return true end end
  return false
end

--- Whether the argument is a template of its own, and no stack is meant.
local function is_template(ctx)
  local path = ctx.args[1]
  local stat = path and core.file.stat(path)
  if not stat or stat.type ~= "file" or ctx.options.file then return false end
  return backend.is_named(ctx) or not has_stack()
end

--- {a = {b = 1}} of --var a.b=1.
local function variables_of(words)
  local vars = {}
  for key, value in pairs(args.settings(words, "--var")) do
    local place, names = vars, {}
    for name in key:gmatch("[^.]+") do names[#names + 1] = name end
    for i = 1, #names - 1 do
      if type(place[names[i]]) ~= "table" then place[names[i]] = {} end
      place = place[names[i]]
    end
    place[names[#names]] = value
  end
  return vars
end

local function lay_over(settings, vars)
  for key, value in pairs(vars) do
    if type(value) == "table" and type(settings[key]) == "table" then
      lay_over(settings[key], value)
    else
      settings[key] = value
    end
  end
end

--- The stack with the variables of the command line, which every service gets that declares them.
local function stack_with(ctx, vars)
  local stack = session.stack(ctx)
  for _, service in pairs(stack.services) do
    service.settings = service.settings or {}
    lay_over(service.settings, vars)
  end
  return stack
end

--- The backend is opened once a template asks for a service of another stack.
local function lazy_discovery(ctx)
  local discovery
  return { known = function(_, name)
    discovery = discovery or backend.open(ctx)
    return discovery:known(name)
  end }
end

local function render_stack(ctx, vars)
  local stack, options = stack_with(ctx, vars), ctx.options
  local seen = view.of(stack)
  seen.discovery = lazy_discovery(ctx)
  if options.diff or options.check then
    local real = rendering.collect(stack, seen, ctx.args[1], view.known_secrets(stack))
    return rendering.compare(real, options.diff)
  end
  local found = rendering.collect(stack, seen, ctx.args[1], view.hidden_secrets())
  if options.out then return rendering.write_out(found, options.out) end
  if options.json then return rendering.show_json(found) end
  return rendering.show(found)
end

local ALONE = "A template alone"

return {
  name = "render",
  group = "prepare",
  summary = "show or write config files, of a stack or of a template alone",
  arguments = "[SERVICE|FILE|TEMPLATE]",
  options = backend.with {
    {name = "var", value = "NAME=VALUE", many = true, summary = "a variable, such as a.b=c"},
    {name = "out", value = "PATH", summary = "write them to PATH/SERVICE/; a template: there"},
    {name = "diff", summary = "show how they differ from what is on the disk"},
    {name = "check", summary = "only say which differ"},
    {name = "json", summary = "print JSON"},
    {name = "watch", short = "w", section = ALONE,
      summary = "render again at every change in discovery"},
    {name = "reload", value = "COMMAND", section = ALONE, summary = "run it after each change"},
    {name = "check-command", value = "COMMAND", section = ALONE,
      summary = "must accept the new file, ${file} in it, before it replaces the old one"},
    {name = "format", value = "FORMAT", section = ALONE, summary = "json, yaml, toml, env or ini: "
      .. "text that is not valid is refused (by the file's ending)"},
    {name = "wait", value = "MIN[,MAX]", section = ALONE,
      summary = "seconds of quiet before it is written, and at most (0.1,1)"},
    {name = "min-instances", value = "N", type = "integer", section = ALONE,
      summary = "wait for so many of each service that is listed"},
    {name = "max-drop", value = "N", type = "number", section = ALONE,
      summary = "keep the file when more than N go at once; below 1, a share"},
    {name = "backups", value = "N", type = "integer", section = ALONE,
      summary = "earlier files to keep beside it (1)"},
    {name = "mode", value = "MODE", section = ALONE, summary = "such as 0640 (the old file's)"},
    {name = "owner", value = "USER", section = ALONE, summary = "its owner (the old file's)"},
  },
  details = "Without an argument the files of every service of the stack are rendered. Secrets are "
    .. "shown, and written by --out, as ***. The path of a template needs no stack: its services "
    .. "are looked up in the backend that the flags name.",
  exits = {"0    rendered; with --diff and --check: nothing differs", "1    something differs, "
    .. "cannot be written, or waits for a value", "2    wrong usage",
    "3    the stack is invalid, or a file cannot be rendered",
    "4    the backend could not be reached"},
  example = "orrery render nginx.conf.tmpl --backend consul --watch \\\n"
    .. "    --out /etc/nginx/nginx.conf --reload \"nginx -s reload\"",
  run = function(ctx)
    local vars = variables_of(ctx.options.var)
    if is_template(ctx) then
      return require("orrery.cli.standalone").run(ctx, ctx.args[1], vars)
    end
    for _, name in ipairs { "watch", "reload", "check-command", "wait", "mode", "owner" } do
      if ctx.options[name] then args.misuse("--%s is for a template alone; a stack's file has "
        .. "`%s` in its config", name, name) end
    end
    return render_stack(ctx, vars)
  end,
}
