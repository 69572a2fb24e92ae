--- pattern -- regular expressions that cannot run away: what `pattern` of a variable is.
---
--- A pattern must match the whole value. It is compiled to a small program that is run for all
--- alternatives at once (a Thompson automaton): the time is the length of the text times that of
--- the program, whatever the two are. So there are no back references and no look-ahead.
local parse = require "orrery.pattern.parse".parse

local M = {}

local MAX_PATTERN = 1000 -- characters
local MAX_PROGRAM = 1000 -- instructions
local MAX_TEXT = 4096    -- characters of a value

local emit = {} -- by node kind: function(program, node), which appends instructions

local function add(program, op, more)
  if #program >= MAX_PROGRAM then error({message = "too many repetitions in it", at = 1}, 0) end
  local instruction = more or {}
  instruction.op = op
  program[#program + 1] = instruction
  return instruction
end

function emit.char(program, node) add(program, "char", {code = node.code}) end
function emit.set(program, node) add(program, "set", {test = node.test}) end
function emit.any(program) add(program, "any") end
function emit.start(program) add(program, "start") end
function emit.stop(program) add(program, "stop") end

function emit.group(program, node)
  for _, item in ipairs(node) do emit[item.k](program, item) end
end

function emit.either(program, node)
  local jumps = {}
  for i, branch in ipairs(node) do
    local split = i < #node and add(program, "split", {first = #program + 2})
    emit.group(program, branch)
    if split then
      jumps[i] = add(program, "jump")
      split.second = #program + 1
    end
  end
  for _, jump in ipairs(jumps) do jump.first = #program + 1 end
end

local function emit_optional(program, node)
  local split = add(program, "split", {first = #program + 2})
  emit[node.k](program, node)
  split.second = #program + 1
end

local function emit_star(program, node)
  local start = #program + 1
  local split = add(program, "split", {first = start + 1})
  emit[node.k](program, node)
  add(program, "jump", {first = start})
  split.second = #program + 1
end

emit["repeat"] = function(program, node)
  for _ = 1, node.min do emit[node.node.k](program, node.node) end
  if not node.max then return emit_star(program, node.node) end
  for _ = node.min + 1, node.max do emit_optional(program, node.node) end
end

-- ---- running ----

-- Adds the instruction at `at` and all that it leads to without taking a character.
local function follow(program, list, at, place)
  local stack = {at}
  while #stack > 0 do
    local here = table.remove(stack)
    local instruction = program[here]
    if list.seen[here] ~= place.step then
      list.seen[here] = place.step
      if instruction.op == "split" then
        stack[#stack + 1] = instruction.second
        stack[#stack + 1] = instruction.first
      elseif instruction.op == "jump" then stack[#stack + 1] = instruction.first
      elseif instruction.op == "start" then
        if place.step == 0 then stack[#stack + 1] = here + 1 end
      elseif instruction.op == "stop" then
        if place.step == place.last then stack[#stack + 1] = here + 1 end
      else list[#list + 1] = here end
    end
  end
end

local function takes(instruction, code)
  if instruction.op == "char" then return instruction.code == code end
  if instruction.op == "set" then return instruction.test(code) end
  return instruction.op == "any" and code ~= 10
end

local function run(program, codes)
  local place = {step = 0, last = #codes}
  local now = {seen = {}}
  follow(program, now, 1, place)
  for i, code in ipairs(codes) do
    local after = {seen = {}}
    place.step = i
    for _, at in ipairs(now) do
      if takes(program[at], code) then follow(program, after, at + 1, place) end
    end
    if #after == 0 then return false end
    now = after
  end
  for _, at in ipairs(now) do if program[at].op == "match" then return true end end
  return false
end

local function code_list(text)
  local codes = {}
  for _, code in utf8.codes(text) do codes[#codes + 1] = code end
  return codes
end

local function compiled(text)
  local chars = {}
  for _, code in utf8.codes(text) do chars[#chars + 1] = utf8.char(code) end
  if #chars > MAX_PATTERN then error({message = "more than 1000 characters", at = 1}, 0) end
  local program, tree = {}, parse(chars)
  emit[tree.k](program, tree)
  add(program, "match")
  return program
end

--- Compiles a pattern: characters, `.` `[a-z]` `[^a]` `\d \w \s \D \W \S`, `(a|b)`, `* + ? {m,n}`,
--- and `^ $`, which change little, since the whole value must match. Returns matches(value) ->
--- true | false | nil, why it cannot be told (over 4096 characters) | nil, message.
function M.compile(text)
  if not utf8.len(text) then return nil, "is not valid UTF-8" end
  local ok, program = pcall(compiled, text)
  if not ok then
    if type(program) ~= "table" then error(program, 0) end
    return nil, program.message
  end
  return function(value)
    local length = utf8.len(value)
    if not length then return nil, "is not valid UTF-8" end
    if length > MAX_TEXT then return nil, "has more than 4096 characters" end
    return run(program, code_list(value))
  end
end

return M
