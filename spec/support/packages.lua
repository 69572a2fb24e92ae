--- packages -- the Node packages for specs: installed once for all runs, where the program itself
--- installs them, for that takes minutes.
local package_of = require "orrery.package"
local support = require "support"

local M = {}

--- As much of a stack as orrery.package looks at.
function M.stack() return { dirs = { packages = support.packages() }, services = {} } end

--- The environment of a program in an installed package: Node.js first in PATH.
function M.env(stack, folder, extra)
  local service = { type = folder:match("([^/]+)/[^/]+$"), dirs = {} }
  assert(package_of.ensure(stack, service))
  local path = table.concat(package_of.path_for(stack, service), ":") .. ":/usr/bin:/bin"
  local env = { PATH = path, NODE_PATH = folder .. "/node_modules" }
  for name, value in pairs(extra or {}) do env[name] = value end
  return env
end

--- Runs a script with the packages of `folder`; returns what it printed.
function M.node(stack, folder, script)
  local code, out, err = support.run({ "node", script }, { env = M.env(stack, folder) })
  assert(code == 0, err)
  return out
end

return M
