---@meta
error("a meta file cannot be required")

---Lines that a person types, while tasks go on. Where standard input and output are no terminals,
---the lines of a file or a pipe are read instead, without any prompt.
---
---```lua
---local reader <close> = assert(orrery.terminal.reader { name = "mine" })
---local kind, text = reader:next("mine> ")
---if kind == "line" then print("you typed " .. text) end
---```
---@class orrery.terminal
local terminal = {}

---A reader; closing it puts the terminal back as it was.
---@class orrery.terminal.Reader
local Reader = {}

---Opens the one reader of this process. With a person at a terminal it edits lines (libedit, keys
---as in Emacs), and lines of the log are shown above the prompt.
---@param options? {name?: string, history?: string} name: of the program, for libedit; history: a
---file of what the up-arrow finds (made 0600; its folder must be there; the newest 1000 entries)
---@return orrery.terminal.Reader?
---@return string? message
---@return string? code "exists": another reader is open; "not_found": libedit is not installed;
---"io"
function terminal.reader(options) end

---The next thing that the person does: "line", text | "tab", line, point (bytes before the cursor;
---the line goes on at the next call) | "interrupt" (Ctrl-C, the line is gone) | "eof". nil,
---"timed out", "timeout" after `timeout` seconds, while the line stays as it is.
---@async
---@param prompt? string one row; what lies between two \1 in it takes no room, and is not at its
---end
---@param timeout? number seconds
---@return "line"|"tab"|"interrupt"|"eof"|nil kind
---@return string? text or message
---@return integer|string? point or code: "closed"; "invalid": a line of a file is over 1 MiB
function Reader:next(prompt, timeout) end

---Inserts text at the cursor.
---@param text string
---@param instead? integer so many characters before the cursor are deleted first
function Reader:insert(text, instead) end

---Prints text; above the prompt, if there is one, which is drawn again below it.
---@param text string a newline at its end is added if it has none
---@return true?
---@return string? message
---@return string? code "closed"
function Reader:print(text) end

---Puts an entry into the history, unless it is blank, begins with a space, or is the same as the
---one before. It may have several lines.
---@param entry string
---@return boolean? kept
---@return string? message it is kept for this session only
---@return string? code
function Reader:remember(entry) end

---Whether a person edits lines at a terminal.
---@return boolean
function Reader:edited() end

---Puts the terminal back; a next() that waits gives nil, "closed", "closed". Also at the end of a
---`<close>` variable and of the program.
function Reader:close() end

return terminal
