---@meta
error("a meta file cannot be required")

--- Files, folders and locks. Nothing here waits for the event loop but `lock{wait}` and a watch's
--- `next`.
---
--- A mode is a string of octal digits, "0640" (Lua reads the number 0640 as 640, which is refused).
--- An owner is "user", "user:group" or numbers; a user alone brings its own group.
---
--- ```lua
--- assert(orrery.file.mkdir "notes")
--- assert(orrery.file.write("notes/a.txt", "text", { mode = "0600" }))
--- print(orrery.file.read "notes/a.txt") --> text
--- print(("%o"):format(assert(orrery.file.stat "notes/a.txt").mode)) --> 600
--- ```
---@class orrery.file
local file = {}

--- The whole content of a file. Folders, pipes and sockets are refused.
---@param path string
---@param options? {max?: integer} max: bytes, 16 MiB unless told; a larger file is an error
---@return string? content or nil, message, code ("not_found", "denied", "invalid", "io")
---@return string? message
---@return string? code
function file.read(path, options) end

--- Replaces a file in one step: a temporary file beside it gets owner and mode, then the content,
--- then the name. On an error (a full disk, say) the old file is as it was and nothing is left
--- behind. A symbolic link is replaced, not followed.
---
---     assert(orrery.file.write("/etc/pds.env", text, {mode = "0600", owner = "atproto"}))
---@param path string
---@param text string
---@param options? {mode?: string|integer, owner?: string, sync?: boolean}
---@return true? ok or nil, message, code
---@return string? message
---@return string? code
function file.write(path, text, options) end

--- Appends to a file, making it if it is missing (mode 0640 unless told). A symbolic link is
--- refused.
---@param path string
---@param text string
---@param options? {mode?: string|integer, owner?: string}
---@return true? ok
---@return string? message
---@return string? code
function file.append(path, text, options) end

--- Makes a folder with its mode (0755 unless told) and owner. Missing parents become 0755 and ours.
--- A folder that exists stays as it is.
---@param path string
---@param mode? string|integer
---@param options? {owner?: string, mode?: string|integer}
---@return true? ok
---@return string? message
---@return string? code
function file.mkdir(path, mode, options) end

--- Removes a file, a link or an empty folder.
---@param path string
---@return true? ok
---@return string? message
---@return string? code
function file.remove(path) end

--- Removes a folder with all that is in it, without following links. A missing one is fine.
---@param path string
---@return true? ok
---@return string? message
---@return string? code
function file.remove_tree(path) end

--- Gives a file or a folder another name, in one step.
---@param from string
---@param to string replaced if it exists
---@return true? ok
---@return string? message
---@return string? code
function file.rename(from, to) end

--- Copies a file or a folder with its modes and symbolic links, into `to` if that exists.
---@param from string
---@param to string
---@param options? {owner?: string}
---@return true? ok
---@return string? message
---@return string? code
function file.copy_tree(from, to, options) end

--- The names in a folder.
---@param path string a folder
---@return string[]? names sorted, without "." and ".."; at most 100000
---@return string? message
---@return string? code
function file.list(path) end

---@class orrery.file.stat
---@field type "file"|"directory"|"link"|"socket"|"pipe"|"device"
---@field size integer bytes
---@field mode integer permission bits
---@field uid integer
---@field gid integer
---@field mtime number seconds since 1970

--- What the file system says of a path.
---@param path string
---@param options? {follow?: boolean} follow = false looks at a symbolic link itself
---@return orrery.file.stat? stat or nil, message, "not_found" ...
---@return string? message
---@return string? code
function file.stat(path, options) end

--- The room on the file system that holds the path, in bytes; `free` is what an ordinary user can
--- get.
---@param path string
---@return {free: integer, total: integer}?
---@return string? message
---@return string? code
function file.space(path) end

--- The real path behind links and "..".
---@param path string
---@return string? path absolute, without links
---@return string? message
---@return string? code
function file.realpath(path) end

--- Whether the path could be written, or made if it is missing: by this process, or by `user` as
--- the mode bits have it (access lists are not looked at).
---@param path string
---@param user? string "user" or "user:group"
---@return true? ok or nil, which path refuses and why, "denied"
---@return string? message
---@return string? code
function file.writable(path, user) end

--- Changes a mode.
---@param path string
---@param mode string|integer
---@return true? ok
---@return string? message
---@return string? code
function file.chmod(path, mode) end

--- Changes owner and group; of a symbolic link, the link's own.
---@param path string
---@param user string
---@param group? string the user's own group unless given
---@return true? ok
---@return string? message
---@return string? code
function file.chown(path, user, group) end

---@class orrery.lock
local Lock = {}

--- Releases the lock. So do `local lock <close> = ...` and the end of the process.
function Lock:close() end

--- Takes a lock file, making it if it is missing. The lock is the kernel's (flock): it ends with
--- the process, however that ends. The file holds the pid of its holder.
---
---     local lock <close> = assert(orrery.file.lock(dir .. "/lock", {wait = 5}))
---@async with `wait`
---@param path string
---@param options? {wait?: number} wait: seconds to keep trying
---@return orrery.lock? lock or nil, "... is locked by process 123", "exists"
---@return string? message
---@return string? code
function file.lock(path, options) end

---@class orrery.watch
local Watch = {}

--- The next name that changed. Names that change again before they are asked for are told once.
---@async
---@param timeout? number seconds
---@return string? name or nil, message, "timeout", "closed", or "not_found": the folder is gone
---@return string? message
---@return string? code
function Watch:next(timeout) end

--- Ends the watch; a waiting next() returns nil, "closed", "closed".
function Watch:close() end

--- Watches a folder, or one file (which may be missing yet, and may be replaced).
---@param path string
---@return orrery.watch?
---@return string? message
---@return string? code
function file.watch(path) end

--- Whether a descriptor (0, 1, 2) is a terminal.
---@param fd integer
---@return boolean
function file.isatty(fd) end

--- Writes to standard output (1) or standard error (2), waiting for as long as a slow reader takes.
--- With `patience` it waits no longer than that at a time, and then leaves out the rest.
---@param fd integer
---@param text string
---@param patience? number seconds, at most 60
---@return true? ok or nil, message, "closed" when nobody reads any more, "timeout"
---@return string? message
---@return string? code
function file.write_fd(fd, text, patience) end

--- The width of the terminal; $COLUMNS, else 80, if the output is no terminal.
---@return integer
function file.columns() end

return file
