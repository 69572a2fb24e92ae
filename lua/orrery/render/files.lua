--- files -- one configuration file: rendered, and checked against its format. output.lua writes it.
local core = require "orrery.core"
local formats = require "orrery.formats"
local places = require "orrery.places"
local plugin = require "orrery.plugin"
local scope = require "orrery.scope"
local template = require "orrery.template"
local values = require "orrery.template.values"

local M = {}

local MODE, SECRET_MODE = 416, 384 -- 0640, 0600
local WAIT = { 0.1, 1 } -- seconds
local MAX_TEMPLATE = 1024 * 1024

local function failed(path, message, more)
  local problem = {path = path, message = message, pending = false}
  for key, value in pairs(more or {}) do problem[key] = value end
  return nil, {problem}
end

local function from_error(path, err)
  return failed(path, err.message, {file = err.file, line = err.line, column = err.column,
                                    pending = err.pending, others = err.others})
end

-- The user whose file it is: as root, the service's (who may not exist yet where one only looks).
local function owner_of(r, config)
  if not places.is_root() then return nil end
  local owner = config.owner or r.service.user
  if owner then return owner end
  local user = places.user_of(r.service)
  return core.process.lookup_user(user) and user or nil
end

--- Where the file `key` of a service lies.
function M.path_of(r, key)
  if key:sub(1, 1) == "/" then return key end
  return ("%s/%s"):format((r.context.dirs or r.service.dirs).config, key)
end

-- The template's text and its name in errors.
local function read_template(r, config, path)
  if config.template then return config.template, path .. ".template" end
  local found, message = plugin.find("template", config.source, r.stack.dir)
  if not found then return nil, message end
  local text
  text, message = core.file.read(found, {max = MAX_TEMPLATE})
  return text, text and found or message
end

local function format_of(r, key, config)
  local name = config.format or formats.of_path(key)
  if not name or name == "text" then return nil end
  local format, message = formats.get(name, r.stack.dir)
  return format or false, format and name or message
end

-- A wrong text is refused with the line of the template that wrote it.
local function check_format(format, name, text, source, locate, is_secret)
  local value, message, line = format.read(text)
  if value ~= nil then return true end
  if is_secret then message = message:gsub("[\"'].-[\"']", "...") end
  local at = locate and locate(line or 1) or line or 1
  local text_of = "%s:%d: the rendered text is not valid %s: %s"
  return nil, text_of:format(source, at, name, message), at
end

local function render_template(r, own, config, path, format, format_name)
  local text, source = read_template(r, config, path)
  if not text then return failed(path .. ".source", source) end
  local options = {name = source, dir = r.stack.dir, format = format and format_name}
  local result, is_secret, locate, later = template.render(text, own, options)
  if not result then return from_error(path, is_secret) end
  if format then
    local ok, message, line = check_format(format, format_name, result, source, locate, is_secret)
    if not ok then return failed(path, message, {file = source, line = line}) end
  end
  return {text = result, secret = is_secret, later = later}
end

-- A copy of the data with the secrets in it | nil, message; and whether there were any.
local function revealed(own, data)
  local has_secret, problem = false, nil
  local value, why = values.plain(data, function(found)
    local text, message = own:reveal(found)
    has_secret, problem = true, problem or (not text and tostring(message) or nil)
    return text or ""
  end)
  if value == nil or problem then return nil, problem or why end
  return value, has_secret
end

local function render_data(own, config, path, format, format_name)
  if not format then return failed(path, 'data needs a format: set format = "json" or another') end
  local value, problem = own:evaluate(config.data, path .. ".data")
  if value == nil then return failed(path, problem.message, {pending = problem.pending}) end
  local is_secret
  value, is_secret = revealed(own, value)
  if value == nil then return failed(path, is_secret) end
  local text, message = format.write(value)
  if not text then return failed(path, ("no %s can hold it: %s"):format(format_name, message)) end
  return {text = text, secret = is_secret}
end

-- The scope of one file: it has the file's own variables, and notes which services were asked for
-- (`uses`), and how many instances of each were listed.
local function scope_of(r, config)
  local context, file = {}, {uses = {}, listed = {}}
  for key, value in pairs(r.context) do context[key] = value end
  context.variables, context.listed = config.variables, file.listed
  local lookup = r.context.lookup
  function context.lookup(name, all)
    file.uses[name] = true
    if not lookup then return {} end
    return lookup(name, all)
  end
  return scope.new(context), file
end

-- `${file}` beside the names that a command may use otherwise.
local function with_file(own, file)
  return {
    get = function(_, name)
      if name == "file" then return file end
      return own:get(name)
    end,
    reveal = function(_, value) return own:reveal(value) end,
  }
end

local function render_words(own, words, file, path, problems)
  local result = {}
  for i, word in ipairs(words) do
    local text, is_secret = template.render(word, with_file(own, file), {name = path})
    local message = not text and is_secret.message
      or is_secret == true and "a secret may not be in a command line"
    if message then problems[#problems + 1] = {path = path, message = message, pending = false} end
    result[i] = text
  end
  return result
end

local function add_commands(file, own, config, path)
  local problems = {}
  if config.check then
    file.candidate = file.path .. ".new"
    file.check = render_words(own, config.check, file.candidate, path .. ".check", problems)
  end
  file.reload = config.reload
  if type(config.reload) == "table" and config.reload.command then
    file.reload = {command = render_words(own, config.reload.command, file.path,
      path .. ".reload.command", problems)}
  end
  if #problems > 0 then return nil, problems end
  return file
end

--- The user whose files a service's are, and whom its checks act for; nil for our own.
function M.user_of(r) return owner_of(r, {}) end

-- How long to wait for further changes: {least after the last one, most after the first}.
local function wait_of(wait)
  if wait == nil then return WAIT end
  if type(wait) == "number" then return {wait, wait * 4} end
  return {wait[1], wait[2] or wait[1] * 4}
end

local function describe(r, file, key, config, format_name)
  file.path, file.format, file.owner = M.path_of(r, key), format_name, owner_of(r, config)
  file.mode = file.secret and SECRET_MODE or config.mode or MODE
  -- What lies elsewhere is somebody's: their owner and mode stay, unless the stack says otherwise.
  file.keep_mode = key:sub(1, 1) == "/" and not config.mode and not file.secret
  file.keep_owner = key:sub(1, 1) == "/" and not config.owner
  -- What a check leaves in the service's folders is the service's, as if that had started.
  local is_own = key:sub(1, 1) ~= "/" and not config.owner
  file.check_user = is_own and M.user_of(r) or nil
  file.wait, file.backups = wait_of(config.wait), config.backups or 1
  file.min_instances, file.max_drop = config.minInstances, config.maxDrop
end

--- Renders the file `key` of a service | nil, problems, uses. It is {path, text, secret, mode,
--- owner, keep_mode, keep_owner, format, check, check_user, reload, later (a list), uses (a set of
--- services), listed ({service = instances}), wait ({min, max}), backups, min_instances, max_drop}.
function M.render(r, key, config, path)
  local format, format_name = format_of(r, key, config)
  if format == false then return failed(path .. ".format", format_name) end
  local own, noted = scope_of(r, config)
  local file, problems
  if config.data ~= nil then
    file, problems = render_data(own, config, path, format, format_name)
  else
    file, problems = render_template(r, own, config, path, format, format_name)
  end
  if not file then return nil, problems, noted.uses end
  file.uses, file.listed = noted.uses, noted.listed
  describe(r, file, key, config, format_name)
  return add_commands(file, own, config, path)
end

return M
