local args = require "orrery.cli.args"
local backend = require "orrery.cli.backend"
local core = require "orrery.core"
local given = require "orrery.scope.given"
local rendering = require "orrery.cli.rendering"
local session = require "orrery.cli.session"
local suggest = require "orrery.suggest"
local view = require "orrery.view"

--- Whether the argument is a template of its own, and no stack is meant.
local function is_template(ctx)
  local path = ctx.args[1]
  local stat = path and core.file.stat(path)
  if not stat or stat.type ~= "file" or ctx.options.file then return false end
  return backend.is_named(ctx) or session.is_without_stack(ctx)
end

--- Where only a template can be meant, it must be there.
local function refuse_missing(ctx)
  local path = ctx.args[1]
  if not path or not session.is_without_stack(ctx) then return end
  local stat, message, code = core.file.stat(path)
  if not stat and code ~= "not_found" then args.misuse("%s", message) end
  args.misuse("%q %s, and there is no stack here: give a template's path, or a stack with -f", path,
    stat and "is no file" or "does not exist")
end

--- Every problem of the variables at once.
local function refuse(problems)
  args.misuse("%s", table.concat(problems, "\n  "))
end

--- Lays the variables of the command line over those of each service that declares them; a name
-- that none declares is a mistake.
local function add_variables(stack, options)
  local used, problems = {}, {}
  for _, name in ipairs(suggest.names(stack.services)) do
    local service, own = stack.services[name], {}
    for _, text in ipairs(options) do
      local option, message = given.parse(text)
      if message then refuse { message } end
      if (service.variables or {})[option.path[1]] then
        own[#own + 1], used[text] = text, true
      end
    end
    local settings, wrong = given.from_options(own, service.variables)
    table.move(wrong or {}, 1, #(wrong or {}), #problems + 1, problems)
    service.settings = given.merge(service.settings or {}, settings or {})
  end
  for _, text in ipairs(options) do
    if not used[text] then
      problems[#problems + 1] = ("--var %s: no service declares such a variable"):format(text)
    end
  end
  if #problems > 0 then refuse(problems) end
end

local function stack_with(ctx)
  local var = ctx.options.var
  return session.stack(ctx, var and function(stack) add_variables(stack, var) end)
end

--- The backend is opened once a template asks for a service of another stack.
local function lazy_discovery(ctx)
  local lazy, discovery, plan = {}, nil, nil
  function lazy.known(_, name)
    if not discovery then discovery, plan = backend.open(ctx) end
    local records, message, code = discovery:known(name)
    if not records then lazy.fail = function() backend.fail(plan, message, code) end end
    return records, message
  end
  return lazy
end

local function watch_stack(ctx)
  local options = ctx.options
  if options.diff or options.check or options.json then
    args.misuse("--watch does not go with --diff, --check or --json")
  end
  local stack = stack_with(ctx)
  return require("orrery.cli.watching").run(ctx, stack, ctx.args[1], options.out)
end

local function render_stack(ctx)
  if ctx.options.watch then return watch_stack(ctx) end
  local stack, options = stack_with(ctx), ctx.options
  local seen = view.of(stack)
  seen.discovery = lazy_discovery(ctx)
  if options.diff or options.check then
    local real = rendering.collect(stack, seen, ctx.args[1], view.known_secrets(stack))
    return rendering.compare(real, options)
  end
  local found = rendering.collect(stack, seen, ctx.args[1], view.hidden_secrets())
  if options.out then return rendering.write_out(found, options.out, options) end
  if options.json then return rendering.show_json(found) end
  return rendering.show(found)
end

local ALONE = "A template alone"

-- The options that a stack's files have no use for, and what they have in its place.
local ALONE_ONLY = {
  { "var-file", "a service has `settings`" },
}
for _, pair in ipairs { { "reload" }, { "check-command", "check" }, { "format" }, { "wait" },
  { "min-instances", "minInstances" }, { "max-drop", "maxDrop" }, { "backups" }, { "mode" },
  { "owner" } } do
  ALONE_ONLY[#ALONE_ONLY + 1] = { pair[1], ("a stack's file has `%s` in its config")
    :format(pair[2] or pair[1]) }
end

local function refuse_alone(options)
  for _, pair in ipairs(ALONE_ONLY) do
    if options[pair[1]] then args.misuse("--%s is for a template alone; %s", pair[1], pair[2]) end
  end
end

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
    {name = "watch", short = "w", summary = "render again at every change in discovery"},
    {name = "var-file", value = "FILE", section = ALONE,
      summary = "variables, in JSON, YAML, TOML, env or ini"},
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
    if is_template(ctx) then return require("orrery.cli.standalone").run(ctx, ctx.args[1]) end
    refuse_missing(ctx)
    refuse_alone(ctx.options)
    return render_stack(ctx)
  end,
}
