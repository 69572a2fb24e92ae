--- cli -- the page orrery(1), from the command table. Pure, but for reading the commands.
local catalogue = require "orrery.cli.catalogue"
local help = require "orrery.cli.help"
local pages = require "orrery.docs.pages"
local suggest = require "orrery.suggest"

local M = {}

--- Environment variables that are read; the specs hold them against the code.
M.variables = {
  { "ORRERY_STACK", "the stack, if -f does not say it" },
  { "ORRERY_NODE", "this machine's node, if --node does not say it (the host's name)" },
  { "ORRERY_PATH", "folders, apart by colons, where profiles, types, filters, formats, checks, "
    .. "backends and templates are looked for before `/etc/orrery` and those built in" },
  { "XDG_STATE_HOME", "where users other than root keep the state of their stacks "
    .. "(`~/.local/state`)" },
  { "XDG_CONFIG_HOME", "where they keep units of their own (`~/.config`)" },
  { "HOME", "the user's home" },
  { "NOTIFY_SOCKET", "where `up --agent` says how it stands (sd_notify), as systemd sets it" },
  { "NO_COLOR", "if it is set, nothing is coloured" },
  { "TERM", "with `dumb` nothing is coloured either" },
}

local FILES = {
  { "stack.lua, stack.yaml, stack.yml, stack.json", "the stack, in the current folder" },
  { "/var/lib/orrery/NAME", "state, data and secrets of a stack of root" },
  { "/run/orrery/NAME", "its agent's socket" },
  { "/var/log/orrery/NAME", "the logs of its services" },
  { "/etc/atproto/discovery", "the discovery records of root's stacks (backend `file`)" },
  { "~/.local/state/orrery/NAME", "all of these, of any other user" },
  { "/etc/orrery", "profiles, types, filters ... of this machine" },
  { "/etc/systemd/system/orrery-NAME.service", "the unit of a stack (`orrery systemd install`)" },
  { "/etc/orrery/NAME.env", "variables for its agent, as systemd's EnvironmentFile= has them" },
}

local function option_meaning(option)
  local words = help.meaning(option)
  if not words:find("^[%l, ]+:") then words = words:gsub("^%l", string.upper) end
  return words .. "."
end

local function add_options(page, options, prefix, section)
  for _, option in ipairs(options) do
    if not option.hidden and option.section == section then
      page:entry(help.label(option), option_meaning(option),
        { id = pages.id(prefix, "--" .. option.name) })
    end
  end
end

local function add_exits(page, exits)
  for _, line in ipairs(exits) do
    local code, meaning = line:match("^(%d+)%s+(.*)$")
    page:entry(code, meaning)
  end
end

-- Options that several commands share stand in a section of their own: {<title> = {options}}.
local function shared_sections()
  local count, options = {}, {}
  for _, name in ipairs(catalogue.names()) do
    local command = catalogue.get(name)
    for _, section in ipairs(help.sections(command.options or {})) do
      count[section] = (count[section] or 0) + 1
      options[section] = options[section] or {}
      for _, option in ipairs(command.options) do
        if option.section == section then options[section][option.name] = option end
      end
    end
  end
  for section, times in pairs(count) do if times == 1 then options[section] = nil end end
  return options
end

local function add_shared(page, shared)
  for _, title in ipairs(suggest.names(shared)) do
    local id, options = pages.id("options-", title), {}
    for _, name in ipairs(suggest.names(shared[title])) do
      options[#options + 1] = shared[title][name]
    end
    page:heading(1, id, title)
    add_options(page, options, id, title)
  end
end

local function add_command(page, command, shared)
  local prefix = "command-" .. command.name
  page:heading(2, prefix, "orrery " .. command.name, { code = true })
  page:code(help.usage(command))
  page:para(command.summary:gsub("^%l", string.upper) .. ". " .. (command.details or ""))
  local options = command.options or {}
  add_options(page, options, prefix)
  for _, section in ipairs(help.sections(options)) do
    if shared[section] then
      page:para('And those under "%s".', section)
    else
      page:para(section .. ":")
      add_options(page, options, prefix, section)
    end
  end
  if command.exits then
    page:para("Exit codes:")
    add_exits(page, command.exits)
  end
  page:para("Example:")
  page:code(command.example)
end

local function add_commands(page, shared)
  local groups = help.by_group()
  for _, group in ipairs(help.groups) do
    page:heading(1, pages.id("commands-", group[1]), group[2])
    for _, command in ipairs(groups[group[1]]) do add_command(page, command, shared) end
  end
end

local function add_list(page, id, title, list)
  page:heading(1, id, title)
  for _, pair in ipairs(list) do page:entry(pair[1], pair[2]) end
end

--- The page orrery(1).
function M.page()
  local page = pages.new("orrery", 1, "run the services of an ATproto deployment")
  page:heading(1, "cli-synopsis", "Synopsis")
  page:code("orrery [-f STACK] COMMAND [ARGUMENTS]")
  page:heading(1, "cli-description", "Description")
  page:para("Orrery brings up, wires together and keeps healthy the services that one stack file "
    .. "names. It starts them in the order of their dependencies, checks their health, writes "
    .. "their configuration from what discovery knows, and restarts what fails.")
  page:para("The stack is described in orrery-stack(5), the Lua interface in orrery-lua(3). "
    .. "Arguments are services unless a command says otherwise.")
  page:heading(1, "cli-options", "Global options")
  add_options(page, help.global_options, "option-")
  local shared = shared_sections()
  add_commands(page, shared)
  add_shared(page, shared)
  page:heading(1, "cli-exit", "Exit status")
  add_exits(page, help.exit_codes)
  add_list(page, "cli-environment", "Environment", M.variables)
  add_list(page, "cli-files", "Files", FILES)
  return page
end

return M
