--- readers -- files as other programs read them: sh, Python's readers, PyYAML.
local support = require "support"
local core = require "orrery.core"

local M = {}

local PYTHON = "/usr/bin/python3"
local OF_SH = {PWD = true, OLDPWD = true, SHLVL = true, _ = true}

--- What sh makes of an env file: the variables it sets; false if it fails.
function M.sh(text)
  local path = support.write(support.tmp() .. "/file.env", text)
  local pipe = assert(io.popen(("env -i /bin/sh -c 'set -ae; . \"%s\"; exec /usr/bin/env -0' 2>&1")
    :format(path)))
  local output, found = pipe:read("a"), {}
  local ok = pipe:close()
  for name, value in output:gmatch("([%w_]+)=([^%z]*)%z") do
    if not OF_SH[name] then found[name] = value end
  end
  return ok and found
end

--- What Python makes of a file of this kind (json, yaml, toml, ini) | nil, what it says.
function M.python(kind, text)
  local path = support.write(support.tmp() .. "/file", text)
  local result = assert(core.process.run {argv = {PYTHON, "spec/support/readers.py", kind, path},
    env = {PATH = "/usr/bin:/bin"}, timeout = 60, maxOutput = 64 * 1024 * 1024})
  if result.code ~= 0 then return nil, result.stderr:sub(-500) end
  return assert(core.json.decode(result.stdout))
end

--- Which of the texts Python's tomllib accepts: a list of booleans.
function M.toml_verdicts(texts)
  local encoded = {}
  for i, text in ipairs(texts) do encoded[i] = core.text.base64(text) end
  return assert(M.python("toml-verdicts", core.json.encode(encoded)))
end

return M
