--- package -- what a service's type needs on disk: launchers, and Node packages from a lock file.
--
-- A package is a folder found as packages/<type>. It is copied to <packages>/<type>/<hash>/, where
-- the hash is that of its files: a changed lock file is a new folder beside the old one. The folder
-- is made under another name and renamed, so it is whole or it is not there.
local core = require "orrery.core"
local plugin = require "orrery.plugin"
local suggest = require "orrery.suggest"

local file, json, process, task, time = core.file, core.json, core.process, core.task, core.time

local M = {}

local NODE = "node"               -- the package that brings Node.js and its npm
local LAUNCHER = "launcher.cjs"   -- beside the packages: what all Node launchers share
local MANIFEST, LOCK_FILE = "package.json", "package-lock.json"
local INSTALL_SECONDS = 1800
local LOCK_SECONDS = 1800
local PROGRESS_SECONDS = 5
local TAIL_LINES = 12
local NEEDED_BYTES = 700 * 1024 * 1024

-- ---- the source folder ----

-- Word-wise FNV-1a: tells versions apart, guards against nothing.
local function hash_of(parts)
  local hash = 0xcbf29ce484222325
  for _, part in ipairs(parts) do
    local padded = part .. ("\0"):rep(-#part % 8) .. ("<I8"):pack(#part)
    for at = 1, #padded, 8 do
      hash = (hash ~ ("<i8"):unpack(padded, at)) * 0x100000001b3
      hash = hash ~ (hash >> 32)
    end
  end
  return ("%016x"):format(hash)
end

local function is_file(path)
  local stat = file.stat(path)
  return stat ~= nil and stat.type == "file"
end

-- The paths of a package's own files; a folder in it (node_modules, say) is not part of it.
local function sources_of(from)
  local sources = {}
  for _, entry in ipairs(assert(file.list(from))) do
    if is_file(from .. "/" .. entry) then sources[#sources + 1] = from .. "/" .. entry end
  end
  local shared = from:match("^(.*)/") .. "/" .. LAUNCHER
  if is_file(shared) then sources[#sources + 1] = shared end
  return sources
end

-- Another version than the lock file has: npm chooses what it depends on.
local function choose_version(files, wanted)
  local manifest = files[MANIFEST] and json.decode(files[MANIFEST]) or { private = true }
  manifest.dependencies = manifest.dependencies or {}
  if manifest.dependencies[wanted.npm] == wanted.version then return end
  manifest.dependencies[wanted.npm] = wanted.version or "latest"
  files[MANIFEST] = json.encode(manifest, { indent = 2 })
  files[LOCK_FILE] = nil
end

local function hash_of_files(files)
  local parts = {}
  for _, name in ipairs(suggest.names(files)) do
    parts[#parts + 1] = name
    parts[#parts + 1] = files[name]
  end
  return hash_of(parts)
end

-- A package before it is installed: {name, sources, files = {name = text}, manifest, hash}; nil if
-- there is none. `wanted` is a service's own {npm, version}.
local function describe(name, dir, wanted)
  local from = plugin.look("package", name, dir)
  if not from and not wanted then return nil end
  local package = { name = from and name or wanted.npm:gsub("[^%w.-]+", "-"), files = {} }
  package.sources = from and sources_of(from) or {}
  for _, path in ipairs(package.sources) do
    package.files[path:match("[^/]+$")] = assert(file.read(path))
  end
  if wanted then choose_version(package.files, wanted) end
  package.manifest = package.files[MANIFEST] and json.decode(package.files[MANIFEST])
  package.hash = hash_of_files(package.files)
  return package
end

local function target_of(stack, package)
  return stack.dirs.packages .. "/" .. package.name .. "/" .. package.hash
end

-- What a person knows the package by: "@atproto/pds 0.5.35".
local function title_of(package)
  local manifest = package.manifest or {}
  for _, field in ipairs { "dependencies", "optionalDependencies" } do
    for name, version in pairs(manifest[field] or {}) do
      if name:find(package.name, 1, true) then
        return (package.name == NODE and "Node.js" or name) .. " " .. version
      end
    end
  end
  return package.name
end

-- ---- Node.js ----

-- The folder of Node.js in the installed node package: bin/node, include/node.
local function node_home(folder)
  for _, entry in ipairs(file.list(folder .. "/node_modules") or {}) do
    if entry:find("^node%-linux%-") then return folder .. "/node_modules/" .. entry end
  end
  return nil, "there is no Node.js for this machine's processor in the package node", "not_found"
end

local function search_path(program)
  for folder in (process.env("PATH") or ""):gmatch("[^:]+") do
    if file.stat(folder .. "/" .. program) then return folder .. "/" .. program end
  end
end

-- npm gets the user's own environment (proxy, certificates), but not what was preloaded into us.
local function npm_environment()
  local env = process.environ()
  env.LD_PRELOAD = nil
  return env
end

-- The npm that installs the node package itself: any will do, it only unpacks.
local function any_npm()
  local npm = search_path("npm")
  if npm then return { npm }, npm_environment() end
  return nil, "npm is missing, which installs the Node services: run `make up`, or "
    .. "`apt-get install nodejs npm` as root, then `orrery up` again", "not_found"
end

-- The npm of the node package, run by its own Node.js, whose headers compile native modules.
local function own_npm(node_folder)
  local home, message, code = node_home(node_folder)
  if not home then return nil, message, code end
  local env = npm_environment()
  env.PATH = home .. "/bin:" .. (env.PATH or "/usr/bin:/bin")
  env.npm_config_nodedir = home
  return { home .. "/bin/node", node_folder .. "/node_modules/npm/bin/npm-cli.js" }, env
end

-- ---- npm ci ----

local function tail(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = "  " .. line
    if #lines > TAIL_LINES then table.remove(lines, 1) end
  end
  return table.concat(lines, "\n")
end

local function npm_failure(package, result)
  local how = result.timedOut and ("took longer than %d s"):format(INSTALL_SECONDS)
    or result.code and ("ended with exit code %d"):format(result.code)
    or ("was ended by SIG%s"):format(result.signal or "?")
  return nil, ("installing %s with npm %s:\n%s\nNothing of it was kept. See to the cause "
    .. "(network, registry, disk) and run `orrery up` again"):format(
    title_of(package), how, tail(result.stderr .. "\n" .. result.stdout)), "failed"
end

-- Waits for a task, and says how long it has been at it. Cancelling the waiter cancels the task.
local function with_progress(handle, title, progress)
  local began = time.monotonic()
  local _ <close> = setmetatable({}, { __close = function() handle:cancel() end })
  while true do
    local results = table.pack(handle:join(PROGRESS_SECONDS))
    if handle:done() or results[3] ~= "timeout" then
      return table.unpack(results, 1, results.n)
    end
    progress(("installing %s with npm ... %.0f s"):format(title, time.monotonic() - began))
  end
end

-- Compilers, npm and post-install scripts leave things where TMPDIR says: in a folder that goes.
local function own_temp_folder(env, folder)
  env.TMPDIR = folder .. "/.tmp"
  assert(file.mkdir(env.TMPDIR, "0700"))
  return setmetatable({}, { __close = function() file.remove_tree(env.TMPDIR) end })
end

local function npm_ci(package, npm, env, folder, progress)
  local _ <close> = own_temp_folder(env, folder)
  local argv = { table.unpack(npm) }
  local verb = package.files[LOCK_FILE] and "ci" or "install"
  for _, word in ipairs { verb, "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier" } do
    argv[#argv + 1] = word
  end
  progress(("installing %s with npm ..."):format(title_of(package)))
  local handle = task.spawn(process.run, { argv = argv, env = env, cwd = folder,
    timeout = INSTALL_SECONDS, maxOutput = 256 * 1024 })
  local result, message, code = with_progress(handle, title_of(package), progress)
  if not result then
    return nil, ("npm could not be started for %s: %s"):format(title_of(package), message), code
  end
  if result.code ~= 0 then return npm_failure(package, result) end
  return true
end

-- ---- installing ----

local function copy_files(package, folder)
  local ok, message, code = file.mkdir(folder, "0755")
  for _, path in ipairs(package.sources) do
    if not ok then return nil, message, code end
    local name = path:match("[^/]+$")
    if package.files[name] then ok, message, code = file.copy_tree(path, folder .. "/" .. name) end
  end
  if not ok or not package.manifest then return ok, message, code end
  return file.write(folder .. "/" .. MANIFEST, package.files[MANIFEST], { mode = "0644" })
end

-- The services run as another user than the root who installs.
local function make_readable(folder)
  local result, message, code = process.run { argv = { "chmod", "-R", "a+rX,u+w", folder } }
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, result.stderr, "io" end
  return true
end

local function enough_space(folder, package)
  local space = file.space(folder)
  if not space or space.free >= NEEDED_BYTES then return true end
  return nil, ("%s needs %d MiB in %s, but %d MiB are free there: make room"):format(
    title_of(package), NEEDED_BYTES >> 20, folder, space.free >> 20), "io"
end

local function remove_unfinished(folder)
  for _, entry in ipairs(file.list(folder) or {}) do
    if entry:find("%.tmp%-%d+$") then file.remove_tree(folder .. "/" .. entry) end
  end
end

local function fill(stack, package, folder, progress)
  local ok, message, code = copy_files(package, folder)
  if not ok then return nil, message, code end
  if package.manifest then
    local npm, env
    if package.name == NODE then
      npm, env, code = any_npm()
    else
      local node
      node, message, code = M.ensure_named(stack, NODE, progress)
      if not node then return nil, message, code end
      npm, env, code = own_npm(node)
    end
    if not npm then return nil, env, code end
    ok, message, code = npm_ci(package, npm, env, folder, progress)
    if not ok then return nil, message, code end
  end
  return make_readable(folder)
end

-- Held by one installer at a time, also across agents.
local function lock(folder, package, progress)
  local held = file.lock(folder .. "/.lock")
  if held then return held end
  progress(("waiting: another orrery is installing %s"):format(title_of(package)))
  return file.lock(folder .. "/.lock", { wait = LOCK_SECONDS })
end

local function install(stack, package, target, progress)
  local folder = target:match("^(.*)/")
  local ok, message, code = file.mkdir(folder, "0755")
  if not ok then return nil, message, code end
  local held <close>, why, kind = lock(folder, package, progress)
  if not held then return nil, why, kind end
  if file.stat(target) then return target end
  remove_unfinished(folder)
  if package.manifest then
    ok, message, code = enough_space(folder, package)
    if not ok then return nil, message, code end
  end
  local unfinished = ("%s.tmp-%d"):format(target, process.pid())
  ok, message, code = fill(stack, package, unfinished, progress)
  if ok then ok, message, code = file.rename(unfinished, target) end
  if ok then return target end
  file.remove_tree(unfinished)
  return nil, message, code
end

local function ensure(stack, package, progress)
  local target = target_of(stack, package)
  if file.stat(target) then return target end
  return install(stack, package, target, progress or function() end)
end

-- ---- public ----

--- Makes sure that a package is installed and returns its folder; nil alone when there is none of
--- that name; nil, message, code when it cannot be installed. Waits, the first time for minutes.
function M.ensure_named(stack, name, progress)
  local package = describe(name, stack.dir)
  if not package then return nil end
  return ensure(stack, package, progress)
end

local function paths_of(stack, package, folder)
  local paths = { folder }
  local node = package.manifest and describe(NODE, stack.dir)
  local home = node and node_home(target_of(stack, node))
  if home then table.insert(paths, 1, home .. "/bin") end
  return paths
end

--- The package of a service's type; nil alone when it has none. Sets service.dirs.package, which
--- `${dir.package}` reads, and what path_for() answers.
function M.ensure(stack, service, progress)
  if service.external then return nil end
  local wanted = type(service.package) == "table" and service.package or nil
  local package = describe(service.type, stack.dir, wanted)
  if not package then return nil end
  local folder, message, code = ensure(stack, package, progress)
  if not folder then return nil, message, code end
  service.dirs.package = folder
  service.paths = paths_of(stack, package, folder)
  return folder
end

--- The folders to put first in PATH for a service whose package is installed: Node.js where the
--- package needs it, and the package itself.
function M.path_for(_, service) return service.paths or {} end

return M
