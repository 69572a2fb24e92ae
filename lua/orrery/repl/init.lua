--- repl -- a session in which a person types Lua: reads, runs, prints, again.
--
-- Each line runs as a task, so that its waits look like plain calls while the tasks that earlier
-- lines spawned go on, also while the prompt waits.
local chunk = require "orrery.repl.chunk"
local complete = require "orrery.repl.complete"
local core = require "orrery.core"
local dot = require "orrery.repl.dot"
local evaluate = require "orrery.repl.evaluate"
local pretty = require "orrery.repl.pretty"
local ui = require "orrery.cli.ui"

local M = {}

local Session = {}
Session.__index = Session

local MAX_CHUNK = 1024 * 1024
local SIGNAL_CODES = { TERM = 143, HUP = 129 }

-- ---- what is shown ----

--- Text for the person: above the prompt, while there is one.
function Session:write(text)
  io.stdout:flush()
  if self.reading then return self.reader:print(text) end
  ui.write(text)
end

local COLOURS = { string = "green", number = "cyan", boolean = "yellow", ["nil"] = "dim",
  key = nil, other = "magenta", dim = "dim" }

local function paint(kind, text) return ui.paint(COLOURS[kind], text) end

function Session:style()
  return { width = self.interactive and core.file.columns() or 80, paint = paint }
end

function Session:show(results)
  if results.n == 0 then return end
  self.env._ = results[1]
  local ok, text = pcall(pretty.list, results, self:style())
  self:write((ok and text or "(it cannot be shown: " .. tostring(text) .. ")") .. "\n")
end

function Session:complain(problem)
  if problem.cancelled then
    if not self.code then ui.note("%s", ui.paint("yellow", "cancelled", 2)) end
    return
  end
  self.failed = true
  if problem.message ~= "" then ui.note("%s", ui.paint("red", problem.message, 2)) end
  if problem.trace then self.last_trace = problem.message .. "\n" .. problem.trace end
  if self.traces and problem.trace then ui.note("%s", problem.trace) end
end

-- ---- running ----

--- Ends the session with this exit code; a line that runs is cancelled.
function Session:finish(code)
  self.code = self.code or code
  if self.running then self.running:cancel() end
  if self.reader then self.reader:close() end
end

function Session:run(fn, ...)
  local results, problem = evaluate.run(function(task) self.running = task end, fn, ...)
  io.stdout:flush()
  if not results then self:complain(problem) end
  return results
end

--- Runs a whole chunk or dot command. False if it is not complete yet.
function Session:execute(text)
  if dot.is(text) then
    self:run(dot.run, self, text)
    return true
  end
  if not text:find("%S") then return true end
  local fn, is_expression, open = chunk.compile(text, self.env)
  if not fn and open and not self.last then return false end
  if not fn then
    self:complain({ message = is_expression })
    return true
  end
  local results = self:run(fn)
  if results then self:show(results) end
  return true
end

-- ---- reading ----

local function columns_of(list)
  local widest, lines, line = 0, {}, {}
  for _, item in ipairs(list) do widest = math.max(widest, ui.width(item.shown)) end
  local across = math.max(1, (core.file.columns() or 80) // (widest + 2))
  for i, item in ipairs(list) do
    line[#line + 1] = item.shown .. (" "):rep(widest + 2 - ui.width(item.shown))
    if #line == across or i == #list then
      lines[#lines + 1] = table.concat(line):gsub("%s+$", "")
      line = {}
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- TAB: inserts what is sure, else shows what there is.
function Session:complete(line, point)
  local before = line:sub(1, point)
  if not before:find("%S") then return self.reader:insert("  ") end
  local ok, list = pcall(complete.candidates, before, self.env,
    { commands = dot.names, services = self.services and self.services() })
  if not ok or #list == 0 then return end
  local common = complete.common(list)
  local typed = common and (utf8.len(common.text) or #common.text) > common.instead
  if #list == 1 or typed then return self.reader:insert(common.text, common.instead) end
  self.reader:print(columns_of(list))
end

--- The next event that is not ours to handle.
function Session:next(prompt)
  while true do
    self.reading = self.interactive
    local kind, text, point = self.reader:next(prompt)
    if kind ~= "tab" then
      self.reading = false
      return kind, text
    end
    self:complete(text, point)
  end
end

function Session:prompt_for(continued)
  if not continued then return self.shown_prompt end
  return (" "):rep(math.max(self.prompt_width - 4, 0)) .. "... "
end

function Session:remember(text)
  if not self.interactive or self.code then return end
  local kept, message = self.reader:remember(text)
  if kept == nil and not self.told then
    self.told = true
    ui.note("%s", message)
  end
end

--- One line more of a chunk. Returns the chunk so far, nil once it was run.
function Session:take(before, line)
  local text = before and before .. "\n" .. line or line
  if #text > MAX_CHUNK then
    self:complain({ message = "the chunk is over 1 MiB; put it into a file and .load it" })
  elseif not self:execute(text) then
    return text
  end
  self:remember(text)
end

function Session:loop()
  local chunk_so_far
  while not self.code do
    local kind, text = self:next(self:prompt_for(chunk_so_far))
    if kind == "line" then
      chunk_so_far = self:take(chunk_so_far, text)
    elseif kind == "interrupt" then
      chunk_so_far = nil
    elseif kind == "eof" or self.code then
      break
    else
      self:complain({ message = text })
      break
    end
  end
  if chunk_so_far then
    self.last = true -- nothing more can complete it
    self:execute(chunk_so_far)
  end
end

-- ---- a session ----

--- Ctrl-C while a line runs; what ends us.
local function heed(session, signals)
  while true do
    local name = signals:next()
    if not name then return end
    if SIGNAL_CODES[name] then
      session:finish(SIGNAL_CODES[name])
    elseif session.running then
      session.running:cancel()
    end
  end
end

local function colour_prompt(text)
  local painted = ui.paint("bold", "\0")
  if painted == "\0" then return text .. "> " end
  local on, off = painted:match("^(.*)%z(.*)$")
  return "\1" .. on .. "\1" .. text .. ">\1" .. off .. "\1 "
end

--- Makes a session. options: program, options (file, node, set: those of the command line), prompt,
-- history (a path or nil), about (what .help says of the names), services() (names to complete).
-- The caller sets `env` before it runs it.
function M.new(options)
  local session = setmetatable({}, Session)
  for key, value in pairs(options) do session[key] = value end
  session.shown_prompt = colour_prompt(options.prompt)
  session.prompt_width = ui.width(options.prompt) + 2
  return session
end

local function run_typed(session, banner)
  local reader <close>, message = core.terminal.reader({ name = "orrery",
    history = session.history })
  if not reader then return 1, message end
  session.reader, session.interactive = reader, reader:edited()
  local signals <close> = session.interactive and core.process.signals { "INT", "TERM", "HUP" }
    or nil
  local heeding = signals and core.task.spawn(heed, session, signals)
  if banner and session.interactive then ui.note("%s", banner) end
  local ok, err = pcall(session.loop, session)
  if heeding then heeding:cancel() end
  if not ok then error(err, 0) end
end

--- Reads until the end. Waits. Returns the exit code, and why it could not begin: 1 if lines of a
-- file failed.
function M.run(session, banner)
  local code, message = run_typed(session, banner)
  if message then return code, message end
  return session.code or (session.failed and not session.interactive and 1) or 0
end

--- Runs one piece of code. Waits. Returns the exit code.
function M.run_code(session, code)
  session.last = true
  session:execute(code)
  return session.code or (session.failed and 1) or 0
end

return M
