--- mkConfigurationTemplating -- the files of services, kept as their templates and discovery have
--- them. Documented in lua/meta/seed_templates.lua.
local changes = require "orrery.render.changes"
local command = require "orrery.render.command"
local core = require "orrery.core"
local discovery_of = require "orrery.discovery"
local templating = require "orrery.templating"

local KNOWN = { services = true, templates = true, discovery = true, discoveredServices = true,
  outputDir = true, watchPaths = true, reloadCommand = true, wait = true }
local WAIT = { 0.1, 1 } -- seconds of quiet, and at most

local class = {}
class.__index = class

--- Opens what `discovery` names: the keys of a stack's. Waits.
local function open(arguments)
  local given = arguments.discovery
  if not given or given.known then return given, false end
  local opened, message, code = discovery_of.open(given)
  if not opened then return nil, message, code end
  return opened, true
end

local function messages_of(jobs, problems)
  local found
  for _, job in ipairs(jobs) do
    if problems[job] then
      found = found or {}
      found[job.name] = problems[job]
    end
  end
  return found
end

--- The files as they should be now: {path = {text, mode, user, group, format, secret}}, and what
--- keeps others back: {service = message}, or nil. Waits.
function class:render()
  local files, problems = templating.render_all(self.jobs)
  local result = {}
  for job, file in pairs(files) do
    result[job.path] = templating.described(file, job.service)
  end
  return result, messages_of(self.jobs, problems)
end

--- Runs reloadCommand if files have changed since it last succeeded.
local function reload(self, changed)
  if not self.reloadCommand or #changed == 0 and self.failures == 0 then return true end
  local ok, message, code = templating.reload(self.reloadCommand)
  self.failures = ok and 0 or self.failures + 1
  return ok, message, code
end

--- Writes those that differ, and runs reloadCommand once if there are any, or if it failed the last
--- time: the list of their paths, and what keeps others back | nil, message, code if the command
--- fails. Waits.
function class:write()
  local files, problems = templating.render_all(self.jobs)
  local changed = {}
  for _, job in ipairs(self.jobs) do
    local file = files[job]
    local wrote, message = nil, nil
    if file then wrote, message = templating.write(file) end
    if file and wrote == nil then problems[job] = ("services.%s: %s"):format(job.name, message) end
    if wrote ~= nil then job.listed = { [job.path] = file.listed } end
    if wrote then changed[#changed + 1] = job.path end
  end
  local ok, message, code = reload(self, changed)
  if not ok then return nil, message, code end
  return changed, messages_of(self.jobs, problems)
end

--- Says what was not said the last time.
local function tell(self, messages)
  local told = {}
  for _, message in pairs(messages or {}) do
    if not (self.told or {})[message] then core.log.warn(message) end
    told[message] = true
  end
  self.told = told
end

local function watch_paths(self)
  for _, path in ipairs(self.watchPaths) do
    local ok, message, code = changes.follow_path(self.changes, path)
    if not ok then return nil, ("watchPaths: %s: %s"):format(path, message), code end
  end
  return true
end

--- Writes, and writes again at every change, until close(). What fails is logged, and tried again
--- at the next change; a reloadCommand that failed before that, too. Waits.
function class:run()
  local ok, message, code = watch_paths(self)
  if not ok then return nil, message, code end
  while not self.closed do
    local changed, problems = self:write()
    tell(self, changed and problems or { problems })
    for _, job in ipairs(self.jobs) do changes.follow(self.changes, job.uses) end
    local pause = self.failures > 0 and command.pause(self.failures) or nil
    if not self.closed then changes.next(self.changes, self.wait, pause) end
  end
  return true
end

--- Ends run(), and what was opened for it.
function class:close()
  if self.closed then return end
  self.closed = true
  changes.close(self.changes)
  if self.owned then self.discovery:close() end
end

class.__close = class.close

return function(arguments)
  templating.check_arguments(arguments, KNOWN)
  if type(arguments.services) ~= "table" then error("services: expected a table", 2) end
  local jobs = templating.plan(arguments)
  local discovery, owned, code = open(arguments)
  if arguments.discovery and not discovery then return nil, owned, code end
  local lookup = templating.lookup_in(discovery or arguments.discoveredServices)
  for _, job in ipairs(jobs) do job.lookup = lookup end
  local wait = arguments.wait or WAIT
  if type(wait) == "number" then wait = { wait, wait * 4 } end
  return setmetatable({ jobs = jobs, discovery = discovery, owned = owned, wait = wait,
    watchPaths = arguments.watchPaths or {}, reloadCommand = arguments.reloadCommand, failures = 0,
    changes = changes.new(discovery) }, class)
end
