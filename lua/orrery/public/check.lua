--- orrery.check: the checks of the engine, and those written in Lua. Documented in
-- lua/meta/check.lua.
local core = require "orrery.core"
local luacheck = require "orrery.luacheck"
local plugin = require "orrery.plugin"

local M = {}
for name, value in pairs(core.check) do M[name] = value end

local BUILTIN = { http = true, tcp = true, command = true, file = true, systemd = true }

--- A check of checks/ as one with a `run`; the others as they are. `dir` is where checks/ may lie.
local function prepared(spec, dir)
  if type(spec) ~= "table" then error("check: expected a table", 3) end
  if spec.run ~= nil or type(spec.strategy) ~= "string" or BUILTIN[spec.strategy] then
    return spec
  end
  local value, from = plugin.read("check", spec.strategy, dir)
  if type(value) ~= "table" or type(value.run) ~= "function" then
    error("check: " .. (value == nil and from.message
      or ("%s returns no {options, run}"):format(from)), 3)
  end
  local result, options = {}, {}
  for key, default in pairs(value.options or {}) do options[key] = default end
  for key, given in pairs(spec.options or {}) do options[key] = given end
  for key, field in pairs(spec) do result[key] = field end
  result.run, result.source, result.options = value.run, from, options
  return result
end

--- What a check in Lua is told of what it looks at, where there is no instance.
local function about(spec, instance)
  instance = instance or {}
  local name = instance.service or spec.name or "check"
  return { id = instance.id or name, service = { name = name, dirs = instance.dirs or {} },
    address = instance.address or spec.host or "127.0.0.1", port = instance.port or spec.port,
    ports = instance.ports or {}, url = instance.url, pid = instance.pid, dirs = instance.dirs }
end

function M.run(spec, instance)
  spec = prepared(spec, instance and instance.dir)
  if not luacheck.is(spec) then return core.check.run(spec) end
  local verdict = luacheck.run(spec, about(spec, instance))
  return { ok = verdict.ok, message = verdict.message, latency = verdict.latency, at = verdict.at }
end

function M.start(spec, instance)
  spec = prepared(spec, instance and instance.dir)
  if not luacheck.is(spec) then return core.check.start(spec) end
  return luacheck.start(spec, about(spec, instance))
end

return M
