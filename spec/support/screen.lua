--- screen -- programs at a terminal: typed to, and read from, through tmux as a person sees them.
local core = require "orrery.core"
local support = require "support"

local M = {}

local Screen = {}
Screen.__index = Screen

local function tmux(self, ...)
  local result = assert(core.process.run { timeout = 30, env = self.env, cwd = self.dir,
    argv = { "tmux", "-S", self.dir .. "/tmux", "-f", self.dir .. "/tmux.conf", ... } })
  return result.stdout, result.code, result.stderr
end

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- Starts a shell script at a terminal of its own, in a folder of its own (self.dir). options:
-- script, columns (100), rows (40), env, cwd.
function M.start(options)
  local self = setmetatable({ dir = support.tmp(), env = support.env(options.env) }, Screen)
  self.env.TERM, self.env.TMUX, self.env.LC_ALL = "xterm-256color", nil, "C.UTF-8"
  self.env.SCREEN_DIR = self.dir
  support.write(self.dir .. "/script", options.script)
  support.write(self.dir .. "/tmux.conf", "set -wg remain-on-exit on\nset -sg escape-time 0\n")
  self.server = assert(core.process.spawn { env = self.env, cwd = self.dir, instance = "spec/tmux",
    argv = { "tmux", "-D", "-S", self.dir .. "/tmux", "-f", self.dir .. "/tmux.conf" } })
  support.wait_until(function() return support.exists(self.dir .. "/tmux") end, 20, "tmux")
  local _, code, err = tmux(self, "new-session", "-d", "-x", tostring(options.columns or 100), "-y",
    tostring(options.rows or 40), "-c", options.cwd or self.dir,
    "sh " .. quoted(self.dir .. "/script"))
  if code ~= 0 then
    self:stop()
    error(err)
  end
  return self
end

--- Types text as it is.
function Screen:type(text) tmux(self, "send-keys", "-l", text) end

--- Presses keys by their names: "Enter", "C-c", "Up".
function Screen:press(...) tmux(self, "send-keys", ...) end

--- Types a line and Enter.
function Screen:line(text)
  self:type(text)
  self:press("Enter")
end

--- Pastes text as a terminal does, in brackets where the program asked for them.
function Screen:paste(text)
  support.write(self.dir .. "/paste", text)
  tmux(self, "load-buffer", self.dir .. "/paste")
  tmux(self, "paste-buffer", "-p")
end

function Screen:resize(columns, rows)
  tmux(self, "resize-window", "-x", tostring(columns), "-y", tostring(rows))
end

--- What is on the screen, without the blanks at the ends of lines and of the text.
function Screen:text()
  return ((tmux(self, "capture-pane", "-p", "-J")):gsub("[ \t]+\n", "\n"):gsub("%s+$", ""))
end

--- Waits until the screen has `wanted` (plain text, or a predicate of the text); returns the text.
function Screen:wait(wanted, seconds)
  local seen
  local ok = pcall(support.wait_until, function()
    seen = self:text()
    if type(wanted) == "function" then return wanted(seen) end
    return seen:find(wanted, 1, true)
  end, seconds or 20)
  if not ok then
    error(("waited in vain for %s on the screen:\n%s"):format(tostring(wanted), seen), 2)
  end
  return seen
end

--- Ends the terminal and what runs in it.
function Screen:stop()
  tmux(self, "kill-server")
  self.server:kill()
  self.server:wait(50)
end

return M
