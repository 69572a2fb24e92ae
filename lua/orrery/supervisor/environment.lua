--- environment -- what a child process gets: a clean environment, and the user it runs as.
local core = require "orrery.core"
local fields = require "orrery.scope.fields"
local formats = require "orrery.formats"
local package_of = require "orrery.package"
local places = require "orrery.places"
local scope = require "orrery.scope"
local secret = require "orrery.secret"
local values = require "orrery.template.values"

local file, process = core.file, core.process

local M = {}

local ourselves = process.user()
local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

M.user_of = places.user_of

--- Whether we can run it as its user; or nil, message.
function M.check_user(service)
  local name = M.user_of(service)
  local user = name and process.lookup_user(name)
  if name and not user then
    return nil, ("there is no user '%s' on this machine; %s, or correct services.%s.user")
      :format(name, name == places.SERVICE_USER and "`make install` makes it" or "create it",
        service.name)
  end
  if user and ourselves.uid ~= 0 and user.uid ~= ourselves.uid then
    return nil, ("only root may run a service as user '%s'; run orrery as root, or leave out "
      .. "services.%s.user"):format(name, service.name)
  end
  return true
end

local function base(service, folders)
  local name = M.user_of(service)
  local user = name and process.lookup_user(name) or ourselves
  local path = process.env("PATH") or PATH
  for n = #folders, 1, -1 do path = folders[n] .. ":" .. path end
  return { PATH = path, HOME = user.home, USER = name or user.name,
    LANG = process.env("LANG") or "C.UTF-8", TZ = process.env("TZ") }
end

--- The url of a service as its dependents reach it; nil if it has none (yet).
local function url_of(names, name)
  local view = values.view_of(names:service_view(name))
  local url = view and view.index("url")
  if secret.is(url) then url = names:reveal(url) end
  return url ~= values.null and url or nil
end

--- ATPROTO_SERVICE_PDS of a service that is called pds; its copies are ATPROTO_SERVICE_PDS_2 ...
local function base_of(name)
  local env = assert(core.discovery.environment({ { service = name, address = "any" } }))
  for variable in pairs(env) do
    local found = variable:match("^(.*)_ADDRESS$")
    if found then return found end
  end
end

--- Known by now: a did that has not been rendered yet is none.
local function did_of(record)
  return record.did and not record.did:find("${", 1, true) and record.did or nil
end

--- Records with an address.
local function known(records)
  local list = {}
  for _, record in ipairs(records) do
    if record.address then
      list[#list + 1] = { service = record.service, id = record.id, node = record.node,
        address = record.address, port = record.port, scheme = record.scheme,
        did = did_of(record), tags = record.tags, meta = record.meta }
    end
  end
  return list
end

--- ATPROTO_SERVICE_* of every instance of a service. Its url is the stack's own, as that may hold
-- what no record does, such as a password.
local function add_records(env, names, name, records)
  local found, message = core.discovery.environment(known(records))
  if not found then return nil, ("services.%s: %s"):format(name, message) end
  for variable, value in pairs(found) do env[variable] = value end
  env[base_of(name) .. "_URL"] = url_of(names, name)
  return true
end

--- The records with the one first that `names` stays with: the address is that of the url.
local function chosen_first(names, name, records)
  local chosen = fields.choose(names, name)
  local list = { chosen }
  for _, record in ipairs(records) do
    if not chosen or record.id ~= chosen.id then list[#list + 1] = record end
  end
  return list
end

local function add_dependencies(env, service, context)
  if not next(service.dependencies) then return true end
  local own = {}
  for key, value in pairs(context) do own[key] = value end
  own.service = service.name
  local names = scope.new(own)
  for name in pairs(service.dependencies) do
    local records, message = context.lookup(name)
    if not records then
      return nil, ("services.%s depends on %s, of which nothing is known yet: %s")
        :format(service.name, name, message), true
    end
    records = chosen_first(names, name, records)
    if records[1] then
      local ok, err = add_records(env, names, name, records)
      if not ok then return nil, err end
    end
  end
  return true
end

--- Reads a service's envFile into `env`; a name that `env` sets itself wins later.
local function add_file(env, service, rendered)
  local path = rendered.envFile or service.envFile
  if not path then return true end
  if path:sub(1, 1) ~= "/" then path = service.dirs.config .. "/" .. path end
  local text, err = file.read(path)
  if not text then return nil, ("services.%s.envFile: %s"):format(service.name, err) end
  local found, message, line = formats.get("env").read(text)
  if not found then
    return nil, ("%s:%s: %s"):format(path, line or "?", message)
  end
  for key, value in pairs(found) do env[key] = value end
  return true
end

--- The environment of an instance: PATH HOME USER LANG TZ, the addresses of what it depends on, its
-- envFile, then its env (which so beats both). nil and a message if a part is missing, and true if
-- it may come.
function M.build(_, service, rendered, context)
  local env = base(service, package_of.path_for(context.stack, service))
  local ok, err, pending = add_dependencies(env, service, context)
  if not ok then return nil, err, pending end
  ok, err = add_file(env, service, rendered)
  if not ok then return nil, err end
  for key, value in pairs(rendered.env or {}) do env[key] = tostring(value) end
  return env
end

return M
