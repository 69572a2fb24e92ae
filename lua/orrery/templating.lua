--- templating -- what the seed's functions over templates share: a template is checked, and becomes
--- the files of services. The rendering is orrery.render's.
local alone = require "orrery.render.alone"
local command_of = require "orrery.render.command"
local core = require "orrery.core"
local given = require "orrery.scope.given"
local output = require "orrery.render.output"
local problem_of = require "orrery.problem"
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"
local validate = require "orrery.validate"

local M = {}

M.FORMATS = { "json", "yaml", "toml", "env", "ini" }
M.OUTPUT_DIR = "/etc/atproto"

local MODE = 416 -- 0640

--- Raises at the caller's caller unless `arguments` is a table with no keys but those in `known`.
function M.check_arguments(arguments, known)
  if type(arguments) ~= "table" then
    error("expected a table of arguments, got " .. type(arguments), 3)
  end
  for _, key in ipairs(suggest.names(arguments)) do
    if not known[key] then
      error(("there is no argument '%s'%s"):format(tostring(key),
        suggest.hint(tostring(key), suggest.names(known))), 3)
    end
  end
end

-- ---- a template ----

local function is_format(name)
  local base = tostring(name):match "^([%w_-]+)"
  for _, known in ipairs(M.FORMATS) do if base == known then return true end end
  return false
end

--- What schema.config says of a template: its problems, each with the path of the argument.
local function problems_of(template)
  local text = type(template.template) == "string"
  local problems = {}
  validate.read(schema.config, { template = text and template.template or nil,
    data = not text and template.template or nil, variables = template.variables,
    check = template.validation.command, minInstances = template.validation.minInstances,
    maxDrop = template.validation.maxDrop }, { problems = problems, path = template.name })
  return problems
end

--- Why a template cannot be one, or nil.
local function complaint(template)
  local kind = type(template.template)
  if type(template.name) ~= "string" or template.name == "" then
    return "name: a template needs a name"
  elseif kind ~= "string" and kind ~= "table" then
    return ("%s.template: expected a text, or a table that the format writes, got %s")
      :format(template.name, kind)
  elseif not is_format(template.outputFormat) then
    return ("Invalid output format: %s. Supported: %s"):format(tostring(template.outputFormat),
      table.concat(M.FORMATS, " "))
  end
  local problems = problems_of(template)
  return #problems > 0 and problem_of.list(problems) or nil
end

--- Raises at the caller's caller what is wrong with a template; returns it.
function M.checked(template)
  local why = complaint(template)
  if why then error(why, 3) end
  return template
end

-- ---- discovered services ----

--- As records: one instance, or a list of them, and a number for a port that is text.
local function records_of(service)
  local list = service[1] ~= nil and service or { service }
  local records = {}
  for i, record in ipairs(list) do
    local copy = { id = tostring(i) }
    for key, value in pairs(record) do copy[key] = value end
    copy.port = math.tointeger(tonumber(copy.port)) or copy.port
    records[i] = copy
  end
  return records
end

--- lookup(name) -> records of what is discovered: an opened orrery.discovery, or a table
--- {name = an instance, or a list of them}.
function M.lookup_in(discovered)
  if discovered and discovered.known then
    return function(name) return discovered:known(name) end
  end
  local known = {}
  for name, service in pairs(discovered or {}) do
    if type(service) == "table" then known[name] = records_of(service) end
  end
  return function(name) return known[name] or {} end
end

-- ---- files ----

--- A template as the entry of a stack's `config`. Text from outside is never a template, so the
--- values are escaped.
local function config_of(template, user)
  local text = type(template.template) == "string"
  return { template = text and template.template or nil, format = template.outputFormat,
    data = not text and template.template or nil, check = template.validation.command,
    minInstances = template.validation.minInstances, maxDrop = template.validation.maxDrop,
    mode = MODE, owner = user, reload = "none" }
end

--- What is wrong with a variable, by its sentence.
local function of_variables(problems)
  local found = {}
  for _, problem in ipairs(problems) do
    local kind = problem.path:match("^services%.%(template%)%.(%a+)")
    if kind == "settings" or kind == "variables" then
      found[#found + 1] = problem.message
    end
  end
  return found
end

local function is_told(message, told)
  for _, sentence in ipairs(told) do if message:find(sentence, 1, true) then return true end end
  return false
end

local function plainly(text, from, to)
  local at, stop = text:find(from, 1, true)
  return at and text:sub(1, at - 1) .. to .. text:sub(stop + 1) or text
end

--- The problems as text: variables first, each once, then those of the templates. The made-up
--- service is not named; a text that is its own template is called `label`.
local function said(problems, label)
  local told = of_variables(problems)
  local lines = { table.unpack(told) }
  for _, problem in ipairs(problems) do
    if not is_told(problem.message, told) then
      local is_text = problem.file and problem.path:find("%]$")
      local place = problem.path .. (is_text and ".template" or "")
      local named = plainly(problem.message, place, label)
      lines[#lines + 1] = named ~= problem.message and named or problem.line and problem.message
        or label .. ": " .. problem.message
    end
  end
  return problem_of.list({ { message = table.concat(lines, "\n") } })
end

--- Renders one file: as render.files() gives it | nil, message, code, uses. `job` is {path,
--- template, variables, lookup, user, listed, chosen}.
function M.render(job)
  local template = job.template
  local stack = alone.stack({ [job.path] = config_of(template, job.user) },
    { variables = template.variables, settings = given.literal(job.variables or {}),
      dir = job.dir })
  local files, message, code, uses = alone.render(stack, { lookup = job.lookup,
    chosen = job.chosen }, job.listed, function(problems) return said(problems, template.name) end)
  return files and files[1], message, code, uses
end

--- A user alone brings the group.
local function owner_of(service)
  local user = service.user or "root"
  return service.group and user .. ":" .. service.group or user
end

--- The template of a service: its own, or that of the name it gives (its own name unless it does).
local function template_of(name, service, templates)
  local found = service.template or name
  if type(found) == "string" then
    if not templates[found] then
      return nil, ("Template '%s' not found%s"):format(found,
        suggest.hint(found, suggest.names(templates)))
    end
    found = templates[found]
  end
  if type(found) == "table" and getmetatable(found) then return found end
  local ok, made = pcall(require "orrery.seed.mkConfigTemplate", found)
  return ok and made or nil, made
end

--- What render() needs for the file of each service, sorted by its name. `arguments` has services,
--- templates, outputDir; what is wrong with them is raised at the caller's caller, all of it.
function M.plan(arguments, lookup)
  local jobs, problems = {}, {}
  for _, name in ipairs(suggest.names(arguments.services)) do
    local service = arguments.services[name]
    local template, message = template_of(name, service, arguments.templates or {})
    if template then
      jobs[#jobs + 1] = { name = name, service = service, template = template, lookup = lookup,
        path = ("%s/%s.%s"):format(arguments.outputDir or M.OUTPUT_DIR, name,
          template.outputFormat:match "^[%w_-]+"), user = owner_of(service),
        variables = service.variables, listed = {}, chosen = {} }
    else
      problems[#problems + 1] = ("services.%s: %s"):format(name, message)
    end
  end
  if #problems > 0 then error(table.concat(problems, "\n"), 3) end
  return jobs
end

--- Renders every file of a plan(): {job = file}, {job = message} of those that could not be, and
--- whether these only wait ("pending") or not ("invalid").
function M.render_all(jobs)
  local files, problems, worst = {}, {}, "pending"
  for _, job in ipairs(jobs) do
    local file, message, code, uses = M.render(job)
    files[job], job.uses = file, file and file.uses or uses or job.uses
    if not file then
      problems[job] = ("services.%s: %s"):format(job.name, message)
      if code ~= "pending" then worst = "invalid" end
    end
  end
  return files, problems, worst
end

--- A file as the seed's functions show it.
function M.described(file, service)
  return { text = file.text, mode = ("%04o"):format(file.mode), user = service.user or "root",
    group = service.group or service.user or "root", format = file.format, secret = file.secret }
end

--- Writes a file: true if it changed, false if it was the same | nil, message.
function M.write(file)
  local changed, message = output.write(file)
  if changed == nil then return nil, message end
  return changed
end

--- Runs what takes up changed files: text for a shell, or words. nil, message, code if it fails.
function M.reload(command)
  local ok, message, code = command_of.run(command, { env = core.process.environ() })
  if ok then return true end
  local shown = type(command) == "table" and command[1] or command
  return nil, ("the reload command %s failed: %s"):format(shown, message), code
end

return M
