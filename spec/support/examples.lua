--- support.examples -- the examples of the manual, run as scripts.
---
--- An example is a fenced block (```lua) in an annotation; an indented one is a fragment, which is
--- only shown. It runs as `orrery script` in a folder of its own, where `orrery` is known. What it
--- prints must be what stands behind its `-->`, line by line; `...` in it stands for anything.
---
---   ---```lua
---   ---print(orrery.json.encode { port = 3000 }) --> {"port":3000}
---   ---```
local support = require "support"
local meta = require "orrery.docs.meta"

local M = {}

local PREAMBLE = 'local orrery = require "orrery"; '

local function title(block)
  local owner = (block.owner or ""):gsub("^orrery%.", "")
  if block.kind ~= "function" then return block.name or "text" end
  return owner == "" and block.name or owner .. (block.method and ":" or ".") .. block.name
end

--- The examples in lua/meta/<name>.lua: {file, line, code, title}.
function M.of(name)
  local file, list = "lua/meta/" .. name .. ".lua", {}
  for _, block in ipairs(meta.read(support.read(support.root .. "/" .. file))) do
    for _, example in ipairs(meta.examples(block)) do
      list[#list + 1] = { file = file, line = example.line, code = example.code,
        title = title(block) }
    end
  end
  return list
end

-- Blanks and tabs count alike.
local function squeezed(text) return (text:gsub("[ \t]+", " "):gsub("^ ", ""):gsub(" $", "")) end

local function expected(code)
  local lines = {}
  for line in code:gmatch("[^\n]+") do
    local text = line:match("%-%->%s*(.*)$")
    if text then lines[#lines + 1] = squeezed(text) end
  end
  return lines
end

local function printed(out)
  local lines = {}
  for line in out:gmatch("[^\n]+") do lines[#lines + 1] = squeezed(line) end
  return lines
end

local function matches(line, wanted)
  local pattern = wanted:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("%%%.%%%.%%%.", ".-")
  return line ~= nil and line:find("^" .. pattern .. "$") ~= nil
end

local function compare(example, out)
  local wanted, got = expected(example.code), printed(out)
  for i = 1, math.max(#wanted, #got) do
    if not wanted[i] or not matches(got[i], wanted[i]) then
      error(("%s:%d (%s): line %d of its output is %q, where the example says %q"):format(
        example.file, example.line, example.title, i, got[i] or "missing", wanted[i] or "nothing"),
        2)
    end
  end
end

--- Runs one. options: those of support.run(); cwd is a fresh folder unless given.
function M.run(example, options)
  options = options or {}
  local dir = options.cwd or support.tmp()
  local script = support.write(dir .. "/example.lua", PREAMBLE .. example.code)
  local arguments = { "script", script, cwd = dir, timeout = options.timeout or 60,
    env = options.env }
  local code, out, err = support.orrery(arguments)
  if code ~= 0 then
    error(("%s:%d (%s): exit code %s\n%s%s"):format(example.file, example.line, example.title,
      tostring(code), out, err), 2)
  end
  compare(example, out)
end

return M
