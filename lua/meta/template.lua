---@meta
error("a meta file cannot be required")

---Templates: `${name}`, `${name | filter}`, `%{ if name }...%{ endif }`,
---`%{ for x in list }...%{ endfor }`; `$${` is a plain `${`. A name that is not given is an error,
---never an empty text.
---
---```lua
---local text = "%{ for s in servers }server ${s.host}:${s.port}; %{ endfor }"
---local servers = { { host = "a", port = 1 }, { host = "b", port = 2 } }
---print((orrery.template.render(text, { servers = servers }))) --> server a:1; server b:2;
---```
---@class orrery.template
local template = {}

---@class orrery.template.Options
---@field name? string what errors call it
---@field dir? string a stack's folder, whose filters/ come first
---@field format? string its guard refuses values that would change the structure of the file

---Compiles a template once, to render it often.
---@param text string
---@param name? string what errors call it
---@return (fun(names: table, options?: orrery.template.Options): string?, boolean|string, string?)?
---fn as template.render without its first argument
---@return string? message with line and column
---@return string? code "invalid"
function template.compile(text, name) end

---Renders a template. It computes, and is stopped when that takes too long.
---@param text string
---@param names? table what it may name
---@param options? orrery.template.Options
---@return string? text
---@return boolean|string secret whether a secret is in the text; or the message
---@return string? code "invalid"
function template.render(text, names, options) end

return template
