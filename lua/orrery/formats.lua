--- formats -- the file formats, by name: {read, write, guard, written_by}.
---
--- read(text) -> value | nil, message, line; write(value[, options]) -> text | nil, message;
--- guard(text) -> true | nil, why: whether a text may stand in a template of the format as it is;
--- written_by: the filters that write a value so that it may.
local plugins = require "orrery.template.plugins"

local M = {}

local BY_EXTENSION = {json = "json", yaml = "yaml", yml = "yaml", toml = "toml", env = "env",
                      ini = "ini"}

--- The format of a name | nil, message. `dir` is the folder of the stack file, or nil. A name may
--- have a style behind a colon: "env:docker".
function M.get(name, dir) return plugins.format(name, dir) end

--- The name of the format that a file's name says it has, or nil.
function M.of_path(path)
  local extension = path:match("%.([^./]+)$")
  return extension and BY_EXTENSION[extension]
end

return M
