--- output -- a rendered file on the disk: only when it differs, checked before the swap, the one
-- before kept beside it.
local core = require "orrery.core"
local outcome = require "orrery.outcome"

local M = {}

local FOLDER_MODE = 488 -- 0750
local CHECK_TIMEOUT = 30
local PERMISSIONS = 511

--- What is there: {text, mode, uid} of the file; nil if there is none that we could read.
local function current(path)
  local stat = core.file.stat(path)
  if not stat or stat.type ~= "file" then return nil end
  local text = core.file.read(path)
  return text and { text = text, mode = stat.mode & PERMISSIONS, uid = stat.uid,
    gid = stat.gid }
end

--- `owner` is "user" or "user:group".
local function owned_by(owner, uid)
  local found = core.process.lookup_user(owner:match("^[^:]*"))
  return found ~= nil and found.uid == uid
end

local function is_same(file, old)
  if not old or old.text ~= file.text then return false end
  if old.mode ~= file.mode and not file.keep_mode then return false end
  return file.keep_owner or not file.owner or owned_by(file.owner, old.uid)
end

--- A command as it was given: a line for a shell, else its program.
local function shown(argv)
  if argv[1] == "sh" and argv[2] == "-c" and argv[3] then return "`" .. argv[3] .. "`" end
  return argv[1]
end

local function said_by(result, is_secret)
  if is_secret then return "its output is not shown, since the file has secrets" end
  local said = (result.stderr ~= "" and result.stderr or result.stdout):gsub("%s+$", "")
  return said == "" and "it said nothing" or said:sub(-500)
end

local function run_check(file, old)
  local result, message = core.process.run { argv = file.check, timeout = CHECK_TIMEOUT,
    user = file.check_user }
  if not result then return nil, "its check could not be run: " .. message end
  if result.code == 0 then return true end
  return nil, ("its check %s refuses it (%s), so %s: %s"):format(shown(file.check),
    outcome.of(result), old and "the old file stays" or "it is not written",
    said_by(result, file.secret))
end

local function checked(file, old, options)
  if not file.check then return true end
  local ok, message = core.file.write(file.candidate, file.text, options)
  if not ok then return nil, message end
  ok, message = run_check(file, old)
  core.file.remove(file.candidate)
  return ok, message
end

local function make_folder(file)
  local folder = file.path:match("^(.+)/[^/]*$")
  if not folder or core.file.stat(folder) then return true end
  return core.file.mkdir(folder, FOLDER_MODE, { owner = file.owner })
end

--- The name of the n-th backup; the first is the newest.
local function backup_path(path, n)
  return n == 1 and path .. ".bak" or ("%s.bak.%d"):format(path, n)
end

--- Keeps what was there, and moves the older ones on. It stays as close as it was: it may have a
-- secret in it that the new text has not.
local function back_up(file, old)
  for n = file.backups - 1, 1, -1 do
    if core.file.stat(backup_path(file.path, n)) then
      core.file.rename(backup_path(file.path, n), backup_path(file.path, n + 1))
    end
  end
  return core.file.write(backup_path(file.path, 1), old.text, { mode = old.mode,
    owner = file.owner and ("%d:%d"):format(old.uid, old.gid) or nil })
end

--- Mode and owner of what is to be written: of an old file that is somebody else's, its own.
local function options_of(file, old)
  local options = { mode = file.mode, owner = file.owner }
  if old and file.keep_mode then options.mode = old.mode end
  if old and file.keep_owner and file.owner then
    options.owner = ("%d:%d"):format(old.uid, old.gid)
  end
  return options
end

local function replace(file, old)
  local options = options_of(file, old)
  local ok, message = make_folder(file)
  if ok then ok, message = checked(file, old, options) end
  if ok and old and old.text ~= file.text and (file.backups or 0) > 0 then
    ok, message = back_up(file, old)
  end
  if not ok then return nil, message end
  options.sync = true
  return core.file.write(file.path, file.text, options)
end

--- Writes one file if it differs: true and the text that was there before (nil if there was none),
--- or false if it was the same | nil, message. Waits for its check.
function M.write(file)
  local old = current(file.path)
  if is_same(file, old) then return false, old.text end
  local ok, message = replace(file, old)
  if not ok then return nil, message end
  return true, old and old.text
end

return M
