--- parser -- a template's text to its parts, and its expressions to trees.
---
--- A part is {k = "text", text} | {k = "out", expr} | {k = "if", cond, body, other} |
--- {k = "for", key, value, list, body}; each has `pos`, its byte in the text. An expression is
--- {k = lit | name | index | unary | binary | cond | call | list | object | quoted, pos, depth}.
--- A `|` binds loosest of all: `a + b | upper` pipes the sum.
local blanks = require "orrery.template.blanks"
local errors = require "orrery.template.errors"
local lexer = require "orrery.template.lexer"

local M = {}

local MAX_NESTING = 32 -- of brackets, of blocks, and of the tree that operators make
local MAX_LOOPS = 16 -- inside each other: each takes some of a Lua function's 200 locals
local MAX_ITEMS = 1000 -- of a literal list, object or argument list

local PRECEDENCE = {["||"] = 1, ["&&"] = 2, ["=="] = 3, ["!="] = 3, ["<"] = 4, [">"] = 4,
                    ["<="] = 4, [">="] = 4, ["+"] = 5, ["-"] = 5, ["*"] = 6, ["/"] = 6, ["%"] = 6}
local CONSTANTS = {["true"] = {value = true}, ["false"] = {value = false}, null = {}}

local expression, parse_parts -- defined below; the grammar is recursive

local function fail(p, at, message) errors.raise(p.source, at, message) end

-- Refuses a token. At the end of the text what is wrong is the sequence that was left open.
local function refuse(p, token, message)
  if token.kind ~= "end" then fail(p, token.pos, message) end
  fail(p, p.open.at, ("this '%s' has no closing '}'"):format(p.open.word))
end

local function peek(p)
  if not p.ahead then p.ahead = lexer.token(p.lx) end
  return p.ahead
end

local function take(p)
  local token = peek(p)
  p.ahead = nil
  return token
end

local function is_op(token, value) return token.kind == "op" and token.value == value end

local function accept(p, value)
  if is_op(peek(p), value) then return take(p) end
end

local function shown(token) return ("'%s'"):format(token.value) end

local function expect(p, value, why)
  local token = take(p)
  if not is_op(token, value) then
    refuse(p, token, ("expected '%s'%s, found %s"):format(value, why or "", shown(token)))
  end
  return token
end

local function expect_name(p, what)
  local token = take(p)
  if token.kind ~= "name" then
    refuse(p, token, ("expected %s, found %s"):format(what, shown(token)))
  end
  return token
end

local function enter(p, at)
  p.level = p.level + 1
  if p.level > MAX_NESTING then
    fail(p, at, ("nested more than %d deep"):format(MAX_NESTING))
  end
end

local function leave(p) p.level = p.level - 1 end

-- Makes a node and bounds the depth of the tree, since the compiled code nests as deep.
local function node(p, kind, at, fields, children)
  fields.k, fields.pos, fields.depth = kind, at, 1
  for _, child in ipairs(children or {}) do
    if child.depth >= fields.depth then fields.depth = child.depth + 1 end
  end
  if fields.depth > MAX_NESTING then
    fail(p, at, ("an expression of more than %d steps; use brackets or variables to split it")
      :format(MAX_NESTING))
  end
  return fields
end

-- Items separated by commas up to `closing`; a comma at the end is allowed.
local function items(p, closing, item)
  local found = {}
  while not accept(p, closing) do
    found[#found + 1] = item(p)
    if #found > MAX_ITEMS then fail(p, peek(p).pos, "more than " .. MAX_ITEMS .. " items") end
    if not accept(p, ",") then
      expect(p, closing, " or ','")
      break
    end
  end
  return found
end

local function pair(p)
  local token = peek(p)
  local key
  if token.kind == "name" then
    key = node(p, "lit", token.pos, {value = take(p).value})
  elseif accept(p, "(") then
    key = expression(p)
    expect(p, ")")
  else
    key = expression(p)
  end
  if not accept(p, ":") then expect(p, "=", " or ':' after the key") end
  return {key = key, value = expression(p), depth = 1}
end

local function object(p, at)
  local pairs_found, children = items(p, "}", pair), {}
  for _, found in ipairs(pairs_found) do
    children[#children + 1] = found.key
    children[#children + 1] = found.value
  end
  return node(p, "object", at, {pairs = pairs_found}, children)
end

local function quoted(p, at)
  enter(p, at)
  local parts = parse_parts(p, {quoted = at})
  leave(p)
  if #parts == 0 then return node(p, "lit", at, {value = ""}) end
  if #parts == 1 and parts[1].k == "text" then
    return node(p, "lit", at, {value = parts[1].text})
  end
  return node(p, "quoted", at, {parts = parts}, {{depth = #parts == 1 and 1 or 3}})
end

local function name_or_call(p, token)
  if is_op(peek(p), "(") then
    take(p)
    local args = items(p, ")", expression)
    return node(p, "call", token.pos, {name = token.value, args = args}, args)
  end
  local constant = CONSTANTS[token.value]
  if constant then return node(p, "lit", token.pos, {value = constant.value}) end
  return node(p, "name", token.pos, {name = token.value})
end

local function primary(p)
  local token = take(p)
  local at = token.pos
  if token.kind == "number" then return node(p, "lit", at, {value = token.value}) end
  if token.kind == "name" then return name_or_call(p, token) end
  if is_op(token, '"') then return quoted(p, at) end
  if is_op(token, "{") then return object(p, at) end
  if is_op(token, "[") then
    local list = items(p, "]", expression)
    return node(p, "list", at, {items = list}, list)
  end
  if not is_op(token, "(") then
    refuse(p, token, "expected a value, found " .. shown(token))
  end
  local inner = expression(p)
  expect(p, ")")
  return inner
end

local function field(p)
  local token = take(p)
  local whole = token.kind == "number" and math.type(token.value) == "integer"
  if token.kind ~= "name" and not whole then
    refuse(p, token, "expected a field's name after '.', found " .. shown(token))
  end
  return node(p, "lit", token.pos, {value = token.value})
end

local function postfix(p)
  local value = primary(p)
  while true do
    local key
    local token = peek(p)
    if accept(p, ".") then
      key = field(p)
    elseif accept(p, "[") then
      key = expression(p)
      expect(p, "]")
    else
      return value
    end
    value = node(p, "index", token.pos, {object = value, key = key}, {value, key})
  end
end

local function unary(p)
  local token = peek(p)
  if not (is_op(token, "-") or is_op(token, "!")) then return postfix(p) end
  take(p)
  enter(p, token.pos)
  local operand = unary(p)
  leave(p)
  return node(p, "unary", token.pos, {op = token.value, operand = operand}, {operand})
end

local function binary(p, lowest)
  local left = unary(p)
  while true do
    local token = peek(p)
    local rank = token.kind == "op" and PRECEDENCE[token.value]
    if not rank or rank < lowest then return left end
    take(p)
    local right = binary(p, rank + 1)
    left = node(p, "binary", token.pos, {op = token.value, left = left, right = right},
                {left, right})
  end
end

local function conditional(p)
  local cond = binary(p, 1)
  local token = accept(p, "?")
  if not token then return cond end
  enter(p, token.pos)
  local yes = conditional(p)
  expect(p, ":", " between the two results of '?'")
  local no = conditional(p)
  leave(p)
  return node(p, "cond", token.pos, {cond = cond, yes = yes, no = no}, {cond, yes, no})
end

function expression(p)
  enter(p, peek(p).pos)
  local value = conditional(p)
  while accept(p, "|") do
    local filter = expect_name(p, "a filter's name after '|'")
    local args = accept(p, "(") and items(p, ")", expression) or {}
    table.insert(args, 1, value)
    value = node(p, "call", filter.pos, {name = filter.value, args = args}, args)
  end
  leave(p)
  return value
end

-- The end of a sequence; a `~` before it trims the text that follows.
local function close(p)
  local token = take(p)
  p.trim = is_op(token, "~}")
  if p.trim or is_op(token, "}") then return end
  refuse(p, token, ("expected '}', found %s; an expression ends here"):format(shown(token)))
end

-- A `~` takes the white space of the text next to it, as HCL does: in a template that of the one
-- line it is on, with its line break; in a quoted string all of it.
local function trim_right(parts, whole)
  local last = parts[#parts]
  if not last or last.k ~= "text" then return end
  local from = whole and 1 or blanks.last_line(last.text)
  last.text = last.text:sub(1, blanks.before(last.text, #last.text, from))
end

local function trim_left(text, whole)
  local stop = not whole and text:find("\n", 1, true) or #text
  local from = blanks.behind(text, 1, stop)
  return text:sub(from), from - 1
end

local function add_text(p, parts, options)
  local at = p.lx.pos
  local text, cut = lexer.literal(p.lx, options.quoted), 0
  local trims = p.trim
  p.trim = false
  if text == "" then return end
  if trims then text, cut = trim_left(text, options.quoted) end
  parts[#parts + 1] = {k = "text", text = text, pos = at + cut} -- it may have been trimmed to ""
end

local function block(p, what, at, enders)
  enter(p, at)
  local body, ender = parse_parts(p, {enders = enders, block = what, at = at, quoted = p.quoted})
  leave(p)
  return body, ender
end

local function if_directive(p, at)
  local cond = expression(p)
  close(p)
  local part = {k = "if", pos = at, cond = cond}
  local ender
  part.body, ender = block(p, "if", at, {["else"] = true, ["endif"] = true})
  if ender == "else" then part.other = block(p, "if", at, {["endif"] = true}) end
  return part
end

local function for_directive(p, at)
  local key, value = nil, expect_name(p, "a name after 'for'").value
  if accept(p, ",") then
    key, value = value, expect_name(p, "a second name after ','").value
  end
  local word = take(p)
  if word.value ~= "in" then refuse(p, word, "expected 'in', found " .. shown(word)) end
  local list = expression(p)
  close(p)
  p.loops = p.loops + 1
  if p.loops > MAX_LOOPS then fail(p, at, ("loops nested more than %d deep"):format(MAX_LOOPS)) end
  local body = block(p, "for", at, {["endfor"] = true})
  p.loops = p.loops - 1
  return {k = "for", pos = at, key = key, value = value, list = list, body = body}
end

local DIRECTIVES = {["if"] = if_directive, ["for"] = for_directive}
local STRAYS = {["else"] = "if", ["endif"] = "if", ["endfor"] = "for"}

-- One `%{ }`: a part, or the word that ends the block we are in.
local function directive(p, at, options)
  local word = expect_name(p, "if, else, endif, for or endfor after '%{'")
  if options.enders and options.enders[word.value] then
    close(p)
    return nil, word.value
  end
  local parse = DIRECTIVES[word.value]
  if parse then return parse(p, at) end
  if STRAYS[word.value] then
    local why = options.block and ("the '%%{ %s }' that is open here does not end so")
      :format(options.block) or ("there is no open '%%{ %s }'"):format(STRAYS[word.value])
    fail(p, word.pos, ("'%s' has no place here: %s"):format(word.value, why))
  end
  fail(p, word.pos, ("'%s' is no directive: use if, else, endif, for or endfor"):format(word.value))
end

local function sequence(p, parts, options)
  local at = p.lx.pos
  local opening, trims = lexer.opening(p.lx)
  local outer = p.open
  p.open = {at = at, word = opening}
  if trims then trim_right(parts, options.quoted) end
  local part, ender
  if opening == "${" then
    local expr = expression(p)
    close(p)
    part = {k = "out", pos = expr.pos, expr = expr}
  else
    part, ender = directive(p, at, options)
  end
  p.open = outer
  parts[#parts + 1] = part
  return ender
end

-- The text of a template, of a quoted string or of a block, up to its end. A quoted string is
-- parsed with its own idea of `quoted` and `trim`; both are put back behind it.
function parse_parts(p, options)
  local parts, outer, trim = {}, p.quoted, p.trim
  p.quoted = options.quoted
  if options.quoted and not options.block then p.trim = false end
  while true do
    add_text(p, parts, options)
    if p.lx.pos > #p.lx.text then break end
    if options.quoted and p.lx.text:sub(p.lx.pos, p.lx.pos) == '"' then break end
    local ender = sequence(p, parts, options)
    if ender then
      p.quoted = outer
      return parts, ender
    end
  end
  if options.block then
    fail(p, options.at, ("this '%%{ %s }' has no 'end%s'"):format(options.block, options.block))
  end
  if options.quoted then
    if p.lx.pos > #p.lx.text then fail(p, options.quoted, "this string has no closing quote") end
    p.lx.pos = p.lx.pos + 1
  end
  p.quoted, p.trim = outer, trim
  return parts
end

--- The parts of `source` ({text, name}); raises an error of `errors`.
function M.parse(source)
  local p = {source = source, lx = lexer.new(source), level = 0, loops = 0, trim = false}
  return parse_parts(p, {})
end

return M
