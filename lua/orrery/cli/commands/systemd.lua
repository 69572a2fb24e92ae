local args = require "orrery.cli.args"
local core = require "orrery.core"
local places = require "orrery.places"
local session = require "orrery.cli.session"
local suggest = require "orrery.suggest"
local ui = require "orrery.cli.ui"
local unit = require "orrery.cli.unit"

local file, process = core.file, core.process

local function home_folder()
  local config = process.env("XDG_CONFIG_HOME")
  if config and config:sub(1, 1) == "/" then return config end
  return (process.env("HOME") or process.user().home) .. "/.config"
end

--- The words that name the stack from any folder, as the manager needs them.
local function words_of(ctx, stack)
  local words = { "-f", stack.file or session.target(ctx) }
  local node = ctx.options.node or process.env("ORRERY_NODE") or ""
  if node ~= "" then table.move({ "--node", node }, 1, 2, #words + 1, words) end
  for _, set in ipairs(ctx.options.set or {}) do
    table.move({ "--set", set }, 1, 2, #words + 1, words)
  end
  return words
end

--- What the agent gets of our variables: where programs and plug-ins are found, and its folders.
local function environment()
  local list = {}
  for _, name in ipairs { "PATH", "ORRERY_PATH", "XDG_STATE_HOME" } do
    local value = process.env(name) or ""
    if value ~= "" then list[#list + 1] = { name, value } end
  end
  return list
end

local function about(ctx, stack)
  local variables = (ctx.options.user and home_folder() or "/etc") .. "/orrery/" .. stack.name
    .. ".env"
  if (stack.dir .. stack.dirs.state):find("%c") or stack.dir:find("[%s\\]$") then
    session.fail(session.UNHEALTHY, "systemd takes no folder of such a name: %q; move the stack",
      stack.dir)
  end
  return { stack = stack.name, program = process.executable(), words = words_of(ctx, stack),
    dir = stack.dir, mounts = { stack.dir, stack.dirs.state }, environment = environment(),
    variables = variables, user = ctx.options.user }
end

--- The services that another one of the stack depends on.
local function awaited(stack)
  local set = {}
  for _, service in pairs(stack.services) do
    for name, dependency in pairs(service.dependencies) do
      if stack.services[name] and not dependency.discover then set[name] = true end
    end
  end
  return suggest.names(set)
end

local function units(ctx, stack)
  local what = about(ctx, stack)
  local list = { unit.agent(what) }
  if not ctx.options.monitors then return list end
  for _, name in ipairs(suggest.names(stack.services)) do
    local service = stack.services[name]
    if next(service.dependencies) and not service.external then
      list[#list + 1] = unit.deps(what, name, math.ceil(service.dependencyTimeout))
    end
  end
  for _, name in ipairs(awaited(stack)) do
    if next(stack.services[name].healthChecks or {}) then
      list[#list + 1] = unit.monitor(what, name)
    end
  end
  return list
end

local function folder(ctx)
  if ctx.options.dir then return ctx.options.dir end
  return ctx.options.user and home_folder() .. "/systemd/user" or "/etc/systemd/system"
end

local function generate(ctx, list)
  local dir = folder(ctx)
  if ctx.options.json then
    local shown = {}
    for i, item in ipairs(list) do
      shown[i] = { name = item.name, path = dir .. "/" .. item.name, text = item.text }
    end
    return ui.json(ui.list(shown))
  end
  for i, item in ipairs(list) do list[i] = item.text end
  ui.write(table.concat(list, "\n"))
end

--- What is there already must be ours to replace. true if it is as it should be.
local function is_there(ctx, stack, path, text)
  local found, message, code = file.read(path)
  if not found and code ~= "not_found" then session.fail(session.UNHEALTHY, "%s", message) end
  if found and not unit.is_ours(found, stack.name) and not ctx.options.force then
    session.fail(session.UNHEALTHY, "%s is there, and not of stack '%s'; nothing was written; add "
      .. "--force to replace it, or give another folder with --dir", path, stack.name)
  end
  return found == text
end

local function tell_next(ctx, stack, list)
  local ctl = ctx.options.user and "systemctl --user" or "systemctl"
  local names = {}
  for i, item in ipairs(list) do names[i] = item.name end
  ui.note("next: %s daemon-reload && %s enable --now %s", ctl, ctl, table.concat(names, " "))
  if ctx.options.user then ui.note("while nobody is logged in, too: loginctl enable-linger") end
  if not session.try_client(stack) then return end
  ui.note("an agent of yours runs the stack already; end it first: %s", session.paste(ctx, "down"))
end

local function install(ctx, list, stack)
  local dir, rows = folder(ctx), {}
  if not ctx.options.user and not ctx.options.dir and not places.is_root() then
    session.fail(session.UNHEALTHY, "only root may add units to the system; run this as root, or "
      .. "add --user for a unit of your own")
  end
  for i, item in ipairs(list) do
    local path = dir .. "/" .. item.name
    rows[i] = { path = path, changed = not is_there(ctx, stack, path, item.text) }
  end
  local ok, message = file.mkdir(dir)
  for i, row in ipairs(rows) do
    local write = ok and row.changed
    if write then ok, message = file.write(row.path, list[i].text, { mode = "0644" }) end
    if not ok then session.fail(session.UNHEALTHY, "%s", message) end
  end
  if ctx.options.json then return ui.json(ui.list(rows)) end
  for _, row in ipairs(rows) do
    ui.out("%s is %s", row.path, row.changed and "written" or "as it should be")
  end
  tell_next(ctx, stack, list)
end

local VERBS = { generate = generate, install = install }

return {
  name = "systemd",
  group = "prepare",
  summary = "write the unit by which systemd keeps a stack",
  arguments = "generate|install",
  options = {
    { name = "user", summary = "for your own manager (systemctl --user), not that of the system" },
    { name = "monitors", summary = "also atproto-monitor-SERVICE (the health of what others depend "
      .. "on, in a journal of its own) and atproto-SERVICE-deps (active once what SERVICE depends "
      .. "on is healthy)" },
    { name = "dir", value = "DIR", summary = "the folder instead of /etc/systemd/system, or of "
      .. "~/.config/systemd/user" },
    { name = "force", summary = "install: also replace a file that is not of this stack" },
    { name = "json", summary = "print JSON" },
  },
  details = "`generate` prints, `install` writes, and neither starts anything. The unit "
    .. "orrery-STACK.service runs the agent: it is started once every service is where it will "
    .. "stay, `systemctl status` says how they are, the journal has every event, a reload takes "
    .. "over a changed stack, and a stop ends the services in order. The stack is named by its "
    .. "path, with this --node, --set, PATH and ORRERY_PATH; further variables, such as those that "
    .. "`env` of a stack asks for, go to /etc/orrery/STACK.env (~/.config/orrery for --user).",
  exits = { "0    printed, or written", "1    it was not written", "2    wrong usage",
    "3    the stack is invalid (nothing was written)" },
  example = "orrery -f simple-pds systemd install",
  run = function(ctx)
    local act = VERBS[ctx.args[1]]
    if not act then args.misuse("expected `systemd generate` or `systemd install`") end
    local stack, problems = session.checked(ctx)
    if not stack then session.refuse(ctx, problems) end
    return act(ctx, units(ctx, stack), stack)
  end,
}
