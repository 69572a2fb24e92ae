--- compile -- a template's parts to a Lua function.
---
--- The function reaches nothing but the helpers of runtime.lua. Neighbouring pieces of text become
--- one concatenation, which is what makes it fast; what each helper may have to complain about is
--- told by the byte of the template it stands for, so that an error names the template's line. A
--- *tracked* function notes that byte for each piece, to find the line that wrote a wrong text.
local core = require "orrery.core"
local errors = require "orrery.template.errors"
local parser = require "orrery.template.parser"
local runtime = require "orrery.template.runtime"

local M = {}

M.MAX_TEXT = 1024 * 1024
local MAX_VALUES = 20000 -- ${} in it: Lua takes 32767 local variables
local GROUP = 16 -- values in one concatenation: each takes two of a Lua function's 255 registers
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

local function generate(ctx, node)
  ctx.counter.weight = ctx.counter.weight + 1
  return expr[node.k](ctx, node)
end

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

-- ---- conditions ----

local function is_boolean(node)
  if node.k == "lit" then return type(node.value) == "boolean" end
  if node.k == "unary" then return node.op == "!" end
  return node.k == "binary" and not ARITHMETIC[node.op]
end

-- Whether Lua takes every value of the node for true: false is the only one it does not (null is
-- a value of its own here).
local function is_truthy(node)
  if node.k == "lit" then return node.value ~= false end
  if node.k == "cond" then return is_truthy(node.yes) and is_truthy(node.no) end
  if node.k == "quoted" then return #node.parts > 1 or node.parts[1].k ~= "out" end
  return node.k == "list" or node.k == "object" or (node.k == "unary" and node.op == "-")
    or (node.k == "binary" and ARITHMETIC[node.op] ~= nil)
end

local function condition(ctx, node)
  local code = generate(ctx, node)
  if is_boolean(node) then return code end
  return ("truth(run, %s, %d)"):format(code, node.pos)
end

-- ---- expressions ----

function expr.lit(_, node) return literal(node.value) end

function expr.name(ctx, node)
  local loop_name = ctx.names[node.name]
  if loop_name then return loop_name end
  if not ctx.seen[node.pos] then
    ctx.seen[node.pos] = true
    ctx.free[#ctx.free + 1] = {name = node.name, at = node.pos}
  end
  return ("(S[%q] or get(run, %q, %d))"):format(node.name, node.name, node.pos)
end

function expr.index(ctx, node)
  local object, name = generate(ctx, node.object), described(node.object)
  if node.key.k == "lit" and type(node.key.value) == "string" then
    return ("field(run, %s, %q, %d, %q)"):format(object, node.key.value, node.key.pos, name)
  end
  return ("index(run, %s, %s, %d, %q, %s)"):format(object, generate(ctx, node.key), node.key.pos,
    name, tostring(node.key.k == "lit"))
end

function expr.unary(ctx, node)
  if node.op == "!" then return ("(not %s)"):format(condition(ctx, node.operand)) end
  return ("negate(run, %s, %d)"):format(generate(ctx, node.operand), node.pos)
end

function expr.binary(ctx, node)
  if node.op == "&&" or node.op == "||" then
    return ("(%s %s %s)"):format(condition(ctx, node.left), node.op == "&&" and "and" or "or",
      condition(ctx, node.right))
  end
  local left, right = generate(ctx, node.left), generate(ctx, node.right)
  if node.op == "==" then return ("equal(run, %s, %s, %d)"):format(left, right, node.pos) end
  if node.op == "!=" then return ("(not equal(run, %s, %s, %d))"):format(left, right, node.pos) end
  if ARITHMETIC[node.op] then
    return ("%s(run, %s, %s, %d)"):format(ARITHMETIC[node.op], left, right, node.pos)
  end
  return ("compare(run, %q, %s, %s, %d)"):format(node.op, left, right, node.pos)
end

function expr.cond(ctx, node)
  local test = condition(ctx, node.cond)
  local yes, no = generate(ctx, node.yes), generate(ctx, node.no)
  if is_truthy(node.yes) then return ("(%s and %s or %s)"):format(test, yes, no) end
  if is_truthy(node.no) then return ("(not %s and %s or %s)"):format(test, no, yes) end
  return ("choose(%s, function() return %s end, function() return %s end)"):format(test, yes, no)
end

-- `later` takes its value unevaluated: it is there for values that are not known yet.
local function generate_later(ctx, node)
  if #node.args ~= 2 then
    errors.raise(ctx.source, node.pos, "later needs the value to use until then: | later(\"...\")")
  end
  return ("later(run, function() return %s end, %s)"):format(generate(ctx, node.args[1]),
    generate(ctx, node.args[2]))
end

local function new_site(ctx, node)
  local sites = ctx.sites
  sites[#sites + 1] = {name = node.name, pos = node.pos}
  return #sites
end

function expr.call(ctx, node)
  if node.name == "later" then return generate_later(ctx, node) end
  local helper = #node.args == 1 and "apply" or "apply_many"
  local codes = generate_all(ctx, node.args)
  table.insert(codes, 1, ("%s(run, %d, F[%q]"):format(helper, new_site(ctx, node), node.name))
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

local function is_flat(parts)
  for _, p in ipairs(parts) do if p.k ~= "text" and p.k ~= "out" then return false end end
  return #parts <= 2 * GROUP
end

local function joined(ctx, parts, pos)
  local codes = {}
  for i, p in ipairs(parts) do
    codes[i] = p.k == "text" and literal(p.text)
      or ("text(run, %s, %d, %q)"):format(generate(ctx, p.expr), p.pos, described(p.expr))
  end
  return ("sized(run, %s, %d)"):format(table.concat(codes, " .. "), pos)
end

-- "${x}" alone is x itself, as in HCL; anything more is text.
function expr.quoted(ctx, node)
  local only = #node.parts == 1 and node.parts[1]
  if only and only.k == "out" then return generate(ctx, only.expr) end
  if is_flat(node.parts) then return joined(ctx, node.parts, node.pos) end
  local inner = setmetatable({lines = {}, tracked = false}, {__index = ctx})
  generate_block(inner, node.parts)
  return ("(function() local out, n, G = {}, 0 %s return concat(out, \"\", 1, n) end)()"):format(
    table.concat(inner.lines, " "))
end

-- ---- parts ----

local function add(ctx, pattern, ...) ctx.lines[#ctx.lines + 1] = pattern:format(...) end

-- Whether the guard must look at a value, as code: only where a format has one, and no filter of
-- that format wrote the value.
local function guard_code(ctx, by)
  if not by then return "G" end
  ctx.writers[by] = true
  return ("G and W[%q]"):format(by)
end

local function add_value(ctx, name, p)
  local by = written_by(p.expr)
  add(ctx, "local %s = %s", name, generate(ctx, p.expr))
  add(ctx, 'if type(%s) ~= "string" or %s then %s = put(run, %s, %d, %s, %q) end', name,
    guard_code(ctx, by), name, name, p.pos, literal(by or false), described(p.expr))
end

-- Pieces of text and values next to each other, in one concatenation.
local function add_group(ctx, group)
  if #group == 0 then return end
  local codes = {}
  add(ctx, "do")
  for i, p in ipairs(group) do
    codes[i] = p.k == "text" and literal(p.text) or "a" .. i
    if p.k == "out" then add_value(ctx, codes[i], p) end
  end
  local track = ctx.tracked and ("at[n + 1] = %d "):format(group[1].pos) or ""
  add(ctx, "local s = %s %sn = n + 1 out[n] = s z = z + #s", table.concat(codes, " .. "), track)
  add(ctx, "if z > %d then too_long(run, %d) end end", runtime.MAX_OUTPUT, group[1].pos)
end

local function count_value(ctx, p)
  if p.k ~= "out" then return end
  ctx.counter.values = ctx.counter.values + 1
  if ctx.counter.values <= MAX_VALUES then return end
  errors.raise(ctx.source, p.pos, ("more than %d sequences; use a loop, or several templates")
    :format(MAX_VALUES))
end

local function in_group(p) return p.k == "text" or p.k == "out" end

local function is_empty(p) return p.k == "text" and p.text == "" end

function generate_block(ctx, parts)
  local group, most = {}, ctx.tracked and 1 or 2 * GROUP
  for _, p in ipairs(parts) do
    count_value(ctx, p)
    if not in_group(p) or #group >= most then
      add_group(ctx, group)
      group = {}
    end
    if not in_group(p) then part[p.k](ctx, p)
    elseif not is_empty(p) then group[#group + 1] = p end
  end
  add_group(ctx, group)
end

part["if"] = function(ctx, p)
  add(ctx, "if %s then", condition(ctx, p.cond))
  generate_block(ctx, p.body)
  if p.other then
    add(ctx, "else")
    generate_block(ctx, p.other)
  end
  add(ctx, "end")
end

-- The body of a loop; returns what one pass costs, in steps.
local function generate_body(ctx, p, key, value)
  local outer, weight = ctx.names, ctx.counter.weight
  ctx.names = setmetatable({[p.value] = value}, {__index = outer})
  if p.key then ctx.names[p.key] = key end
  ctx.counter.weight = 1 + #p.body
  generate_block(ctx, p.body)
  local cost = ctx.counter.weight
  ctx.names, ctx.counter.weight = outer, weight + 1
  return cost
end

part["for"] = function(ctx, p)
  ctx.counter.n = ctx.counter.n + 1
  local id = ctx.counter.n
  local list = generate(ctx, p.list)
  local head = #ctx.lines + 1
  add(ctx, "-- each() knows the cost of a pass, so it comes when the body is there")
  add(ctx, "for i%d = 1, #l%d do local v%d = l%d[i%d]", id, id, id, id, id)
  if p.key then add(ctx, "local k%d = m%d and m%d[i%d] or i%d - 1", id, id, id, id, id) end
  local cost = generate_body(ctx, p, "k" .. id, "v" .. id)
  add(ctx, "end end")
  ctx.lines[head] = ("do local l%d, m%d = each(run, %s, %d, %q, %d)"):format(id, id, list,
    p.list.pos, described(p.list), cost)
end

-- ---- the whole ----

local HEAD = "local S, F, G, W, out, at, n, z = run.known, run.filters, run.guard, run.unwritten, "
  .. "run.out, run.at, 0, 0"

local function generate_chunk(ctx, parts)
  add(ctx, "local %s = ...", table.concat(runtime.names, ", "))
  add(ctx, "local function render(run) %s", HEAD)
  generate_block(ctx, parts)
  add(ctx, "run.n = n end")
  local only = #parts == 1 and parts[1].k == "out" and parts[1].expr
  if only and not ctx.tracked then
    add(ctx, "return render, function(run) %s return %s end", HEAD, generate(ctx, only))
  else
    add(ctx, "return render")
  end
  return table.concat(ctx.lines, "\n")
end

local function by_place(a, b) return a.at < b.at end

local function load_chunk(ctx, parts)
  local chunk = generate_chunk(ctx, parts)
  local loaded, problem = core.script.load(chunk, "=template", {})
  if not loaded then
    errors.raise(ctx.source, 1, "this template is too complex to compile (" .. problem .. ")")
  end
  return loaded(table.unpack(runtime.helpers))
end

local function new_context(source, tracked)
  return {source = source, tracked = tracked, names = {}, counter = {n = 0, weight = 0, values = 0},
          lines = {}, free = {}, seen = {}, sites = {}, writers = {}}
end

--- Compiles `source` ({text, name}) to {render = function(run), value = function(run) or nil,
--- free, sites, writers}: `value` exists when the text is nothing but one `${}`; `free` are the
--- names that the scope must know ({name, at}), `sites` the calls of filters ({name, pos}), and
--- `writers` the filters whose results are written. Raises an error of `errors`.
function M.compile(source, tracked)
  if #source.text > M.MAX_TEXT then
    errors.raise({text = "", name = source.name, hidden = true}, 1, "a template over 1 MiB")
  end
  local ctx = new_context(source, tracked or false)
  local render, value = load_chunk(ctx, parser.parse(source))
  table.sort(ctx.free, by_place)
  return {render = render, value = value, text = source.text, free = ctx.free, sites = ctx.sites,
          writers = ctx.writers}
end

return M
