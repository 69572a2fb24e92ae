--- help -- the command list, and the manual page of one command.
local catalogue = require "orrery.cli.catalogue"
local ui = require "orrery.cli.ui"

local M = {}

M.global_options = {
  {name = "file", short = "f", value = "STACK",
    summary = "a stack file, a folder with one, or a profile's name (default: $ORRERY_STACK, or ."
      .. "; after the command only as --file)"},
  {name = "node", value = "NAME", summary = "this machine's node (default: $ORRERY_NODE)"},
  {name = "set", value = "KEY=VALUE", many = true,
    summary = "override one value, such as services.pds.port=3000"},
  {name = "help", short = "h", summary = "show help"},
  {name = "version", summary = "show the version", hidden = true},
}

M.groups = {
  {"run", "Run a stack"}, {"look", "Look at what runs"},
  {"prepare", "Prepare and understand"}, {"lua", "Work in Lua"}, {"other", "Other"},
}

M.exit_codes = {
  "0    done, or all is well",
  "1    something is unhealthy or failed",
  "2    wrong usage",
  "3    the stack is invalid (nothing was touched)",
  "4    the agent or a backend could not be reached",
  "124  timed out",
}

local WIDTH = 76

local function wrap(text, indent)
  local lines, line = {}, ""
  for word in text:gmatch("%S+") do
    if line ~= "" and #line + #word + 1 > WIDTH - indent then
      lines[#lines + 1] = line
      line = ""
    end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (" "):rep(indent))
end

--- An option as it is written: "-t, --timeout SECONDS".
function M.label(option)
  local label = (option.short and ("-%s, "):format(option.short) or "") .. "--" .. option.name
  return option.value and label .. " " .. option.value or label
end

--- What it means, with what it may be and what it is otherwise.
function M.meaning(option)
  local text = option.summary
  if option.choices then text = text .. ": " .. table.concat(option.choices, ", ") end
  if option.default ~= nil then text = ("%s (default: %s)"):format(text, option.default) end
  return text
end

local function add_option(lines, option)
  local label = (option.short and "" or "    ") .. M.label(option)
  local summary = wrap(M.meaning(option), 26)
  if #label > 22 then label = label .. "\n" .. (" "):rep(24) end
  lines[#lines + 1] = ("  %-22s  %s"):format(label, summary)
end

--- Those of one section (nil: of none), under its title.
local function add_options(lines, title, options, section)
  lines[#lines + 1] = ""
  lines[#lines + 1] = ui.paint("bold", title)
  for _, option in ipairs(options) do
    if not option.hidden and option.section == section then add_option(lines, option) end
  end
end

--- The titles of those options that stand under one.
function M.sections(options)
  local names, seen = {}, {}
  for _, option in ipairs(options) do
    local name = option.section
    if name and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  return names
end

local function add_group(lines, title, commands)
  lines[#lines + 1] = ""
  lines[#lines + 1] = ui.paint("bold", title)
  for _, command in ipairs(commands) do
    lines[#lines + 1] = ("  %-10s  %s"):format(command.name, command.summary)
  end
end

--- {<group> = {command, ...}}
function M.by_group()
  local groups = {}
  for _, name in ipairs(catalogue.names()) do
    local command = catalogue.get(name)
    groups[command.group] = groups[command.group] or {}
    table.insert(groups[command.group], command)
  end
  return groups
end

--- The command list.
function M.overview()
  local groups = M.by_group()
  local lines = {
    "Orrery runs the services of an ATproto deployment, wired together and kept healthy.", "",
    "usage: orrery [-f STACK] COMMAND [ARGUMENTS]",
  }
  for _, group in ipairs(M.groups) do add_group(lines, group[2], groups[group[1]]) end
  add_options(lines, "Global options", M.global_options)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "`orrery help COMMAND` tells more about one command."
  ui.out("%s", table.concat(lines, "\n"))
end

--- One line: how a command is called.
function M.usage(command)
  local words = {"usage: orrery [-f STACK] " .. command.name}
  if command.options and #command.options > 0 then words[#words + 1] = "[OPTIONS]" end
  words[#words + 1] = command.arguments
  return table.concat(words, " ")
end

--- One command's page.
function M.command(command)
  local summary = command.summary:gsub("^%l", string.upper) .. "."
  local lines = {M.usage(command), "", wrap(summary .. " " .. (command.details or ""), 0)}
  if command.options and #command.options > 0 then
    add_options(lines, "Options", command.options)
    for _, name in ipairs(M.sections(command.options)) do
      add_options(lines, name, command.options, name)
    end
  end
  add_options(lines, "Global options", M.global_options)
  lines[#lines + 1] = "\n" .. ui.paint("bold", "Exit codes")
  for _, line in ipairs(command.exits or M.exit_codes) do lines[#lines + 1] = "  " .. line end
  lines[#lines + 1] = "\n" .. ui.paint("bold", "Example")
  lines[#lines + 1] = "  " .. command.example
  ui.out("%s", table.concat(lines, "\n"))
end

return M
