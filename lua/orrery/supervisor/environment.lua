--- environment -- what a child process gets: a clean environment, and the user it runs as.
local core = require "orrery.core"
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

local function shout(name) return (name:upper():gsub("[^%w]", "_")) end

--- The url of a service as its dependents reach it; nil if it has none (yet).
local function url_of(names, name)
  local view = values.view_of(names:service_view(name))
  local url = view and view.index("url")
  if secret.is(url) then url = names:reveal(url) end
  return url ~= values.null and url or nil
end

--- ATPROTO_SERVICE_* of one instance record.
local function add_record(env, names, name, record)
  local prefix = "ATPROTO_SERVICE_" .. shout(name) .. "_"
  env[prefix .. "URL"] = url_of(names, name)
  env[prefix .. "ADDRESS"] = record.address
  env[prefix .. "PORT"] = record.port and ("%d"):format(record.port)
  env[prefix .. "SCHEME"] = record.scheme
  env[prefix .. "DID"] = record.did
  env[prefix .. "TAGS"] = record.tags and #record.tags > 0 and table.concat(record.tags, ",") or nil
  for key, value in pairs(record.meta or {}) do
    env[prefix .. "META_" .. shout(key)] = tostring(value)
  end
end

local function add_dependencies(env, service, context)
  local own = {}
  for key, value in pairs(context) do own[key] = value end
  own.service = service.name
  local names = scope.new(own)
  for name in pairs(service.dependencies) do
    local record = context.lookup(name)[1]
    if record then add_record(env, names, name, record) end
  end
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
-- envFile, then its env (which so beats both). nil and a message if a part is missing.
function M.build(_, service, rendered, context)
  local env = base(service, package_of.path_for(context.stack, service))
  add_dependencies(env, service, context)
  local ok, err = add_file(env, service, rendered)
  if not ok then return nil, err end
  for key, value in pairs(rendered.env or {}) do env[key] = tostring(value) end
  return env
end

return M
