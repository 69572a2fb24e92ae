---@meta
error("a meta file cannot be required")

--- Text made safe for the files it goes into: what the filters and formats of templates are made
--- of. Texts are bytes of at most 16 MiB; nothing here waits.
---@class orrery.text
local text = {}

--- In double quotes, with escapes that JSON, YAML and TOML read alike. Beside what must be, what
--- some reader takes for a line break or does not print is escaped, too.
---
--- ```lua
--- print(orrery.text.quote 'a "b"\n') --> "a \"b\"\n"
--- ```
---@param value string
---@return string? quoted or nil, "is not valid UTF-8", "invalid"
---@return string? message
---@return string? code
function text.quote(value) end

--- What stands behind the `=` in an env file, for sh and systemd alike: the text itself, or in
--- double quotes. Refused: control characters but tab and line break, and what is not UTF-8.
---@param value string
---@return string? quoted or nil, why not, "invalid"
---@return string? message
---@return string? code
function text.env(value) end

--- One word of a shell command: the text itself, or in single quotes. A NUL byte is refused.
---@param value string
---@return string? word or nil, why not, "invalid"
---@return string? message
---@return string? code
function text.shell(value) end

--- What stands behind the `=` in an INI file: the text itself, or in double quotes with `\"` `\\`
--- `\n` `\r` `\t` `\xHH`.
---@param value string
---@return string? quoted or nil, "is not valid UTF-8", "invalid"
---@return string? message
---@return string? code
function text.ini(value) end

--- Percent-encoded as one part of a URL: all but letters, digits, `-`, `.`, `_` and `~`.
---@param value string
---@return string
function text.url_encode(value) end

--- Whether a text is UTF-8.
---@param value string
---@return boolean valid no surrogates, no overlong forms, nothing beyond U+10FFFF
function text.is_utf8(value) end

--- The SHA-256 of a text.
---@param value string
---@return string digest 64 lower-case hexadecimal digits
function text.sha256(value) end

--- A text as base64.
---@param value string
---@return string base64 with padding
function text.base64(value) end

--- Reads base64, in the URL alphabet too; padding may be missing, anything else is refused.
---@param value string
---@return string? bytes or nil, "is not base64", "invalid"
---@return string? message
---@return string? code
function text.base64_decode(value) end

return text
