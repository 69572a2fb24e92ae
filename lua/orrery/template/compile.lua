--- compile -- a template's parts to a Lua function.
---
--- The function's only environment are the helpers of runtime.lua. Each helper that can fail is
--- given the byte of the template it stands for, so that its error names the template's line.
local core = require "orrery.core"
local errors = require "orrery.template.errors"
local parser = require "orrery.template.parser"
local runtime = require "orrery.template.runtime"

local M = {}

local MAX_TEXT = 1024 * 1024
local ARITHMETIC = {["+"] = "add", ["-"] = "subtract", ["*"] = "multiply", ["/"] = "divide",
                    ["%"] = "modulo"}
local KEEPS_ESCAPES = {indent = true, trim = true}

local expr = {} -- by node kind: function(ctx, node) -> a Lua expression
local part = {} -- by part kind: function(ctx, part), which appends statements
local generate_block

local function literal(value)
  if value == nil then return "null" end
  return ("%q"):format(value)
end

local function generate(ctx, node) return expr[node.k](ctx, node) end

local function generate_all(ctx, nodes)
  local codes = {}
  for i, node in ipairs(nodes) do codes[i] = generate(ctx, node) end
  return codes
end

-- What a person calls this value: `service.plc.url`; for errors about it.
local function described(node)
  if node.k == "name" then return node.name end
  if node.k ~= "index" then return "this value" end
  local key = node.key.k == "lit" and tostring(node.key.value) or "..."
  return described(node.object) .. "." .. key
end

-- The filter that had the last word on how a value is written, for the format's guard.
local function written_by(node)
  if node.k ~= "call" then return nil end
  if KEEPS_ESCAPES[node.name] then return written_by(node.args[1] or {}) end
  return node.name
end

function expr.lit(_, node) return literal(node.value) end

function expr.name(ctx, node)
  if not ctx.names[node.name] then ctx.free[node.pos] = node.name end
  return ctx.names[node.name] or ("get(run, %q, %d)"):format(node.name, node.pos)
end

function expr.index(ctx, node)
  return ("index(run, %s, %s, %d, %q, %s)"):format(generate(ctx, node.object),
    generate(ctx, node.key), node.key.pos, described(node.object), tostring(node.key.k == "lit"))
end

function expr.unary(ctx, node)
  local operand = generate(ctx, node.operand)
  if node.op == "!" then return ("(not truth(run, %s, %d))"):format(operand, node.pos) end
  return ("negate(run, %s, %d)"):format(operand, node.pos)
end

function expr.binary(ctx, node)
  local left, right = generate(ctx, node.left), generate(ctx, node.right)
  if node.op == "&&" or node.op == "||" then
    return ("(truth(run, %s, %d) %s truth(run, %s, %d))"):format(left, node.left.pos,
      node.op == "&&" and "and" or "or", right, node.right.pos)
  end
  if node.op == "==" then return ("equal(run, %s, %s)"):format(left, right) end
  if node.op == "!=" then return ("(not equal(run, %s, %s))"):format(left, right) end
  if ARITHMETIC[node.op] then
    return ("%s(run, %s, %s, %d)"):format(ARITHMETIC[node.op], left, right, node.pos)
  end
  return ("compare(run, %q, %s, %s, %d)"):format(node.op, left, right, node.pos)
end

function expr.cond(ctx, node)
  return ("choose(truth(run, %s, %d), function() return %s end, function() return %s end)"):format(
    generate(ctx, node.cond), node.cond.pos, generate(ctx, node.yes), generate(ctx, node.no))
end

-- `later` takes its value unevaluated: it is there for values that are not known yet.
local function generate_later(ctx, node)
  if #node.args ~= 2 then
    errors.raise(ctx.source, node.pos, "later needs the value to use until then: | later(\"...\")")
  end
  return ("later(run, function() return %s end, %s)"):format(generate(ctx, node.args[1]),
    generate(ctx, node.args[2]))
end

function expr.call(ctx, node)
  if node.name == "later" then return generate_later(ctx, node) end
  local codes = generate_all(ctx, node.args)
  table.insert(codes, 1, ("call(run, %d, %q"):format(node.pos, node.name))
  return table.concat(codes, ", ") .. ")"
end

function expr.list(ctx, node)
  return ("list({%s})"):format(table.concat(generate_all(ctx, node.items), ", "))
end

function expr.object(ctx, node)
  local codes = {("object(run, %d"):format(node.pos)}
  for _, pair in ipairs(node.pairs) do
    codes[#codes + 1] = generate(ctx, pair.key)
    codes[#codes + 1] = generate(ctx, pair.value)
  end
  return table.concat(codes, ", ") .. ")"
end

-- "${x}" alone is x itself, as in HCL; anything more is text.
function expr.quoted(ctx, node)
  local only = #node.parts == 1 and node.parts[1]
  if only and only.k == "out" then return generate(ctx, only.expr) end
  local inner = setmetatable({lines = {}}, {__index = ctx})
  generate_block(inner, node.parts, true)
  return ("capture(run, function() %s end)"):format(table.concat(inner.lines, " "))
end

local function add(ctx, pattern, ...) ctx.lines[#ctx.lines + 1] = pattern:format(...) end

function part.text(ctx, p) add(ctx, "emit(run, %q, %d)", p.text, p.pos) end

function part.out(ctx, p)
  add(ctx, "put(run, %s, %d, %s, %q)", generate(ctx, p.expr), p.pos,
      literal(written_by(p.expr) or false), described(p.expr))
end

part["if"] = function(ctx, p)
  add(ctx, "if truth(run, %s, %d) then", generate(ctx, p.cond), p.cond.pos)
  generate_block(ctx, p.body)
  if p.other then
    add(ctx, "else")
    generate_block(ctx, p.other)
  end
  add(ctx, "end")
end

local function new_local(ctx)
  ctx.counter.n = ctx.counter.n + 1
  return "v" .. ctx.counter.n
end

part["for"] = function(ctx, p)
  local key, value = new_local(ctx), new_local(ctx)
  add(ctx, "for _, %s, %s in each(run, %s, %d, %q) do", key, value, generate(ctx, p.list),
      p.list.pos, described(p.list))
  local outer = ctx.names
  ctx.names = setmetatable({[p.value] = value}, {__index = outer})
  if p.key then ctx.names[p.key] = key end
  generate_block(ctx, p.body)
  ctx.names = outer
  add(ctx, "end")
end

function generate_block(ctx, parts)
  for _, p in ipairs(parts) do part[p.k](ctx, p) end
end

local function generate_chunk(source, parts, free)
  local ctx = {source = source, names = {}, counter = {n = 0}, lines = {}, free = free}
  add(ctx, "local function render(run)")
  generate_block(ctx, parts)
  add(ctx, "end")
  local only = #parts == 1 and parts[1].k == "out" and parts[1].expr
  local value = only and ("function(run) return %s end"):format(generate(ctx, only)) or "nil"
  add(ctx, "return render, %s", value)
  return table.concat(ctx.lines, "\n")
end

--- Compiles `source` ({text, name}) to {render = function(run), value = function(run) or nil,
--- free}: `value` exists when the text is nothing but one `${}`; `free` are the names that the
--- scope must know, by their place. Raises an error of `errors`.
function M.compile(source)
  if #source.text > MAX_TEXT then
    errors.raise({text = "", name = source.name, hidden = true}, 1, "a template over 1 MiB")
  end
  local free = {}
  local chunk = generate_chunk(source, parser.parse(source), free)
  local load_chunk, problem = core.script.load(chunk, "=template", runtime.environment)
  if not load_chunk then
    errors.raise(source, 1, "this template is too complex to compile (" .. problem .. ")")
  end
  local render, value = load_chunk()
  return {render = render, value = value, source = source, free = free}
end

return M
