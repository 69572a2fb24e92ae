---@meta
error("a meta file cannot be required")

---Values that must not be seen: a secret prints as `***`, stays one when it is concatenated, and is
---resolved only by who writes it where it belongs.
---
---```lua
---local password = orrery.secret.new { env = "DB_PASSWORD" }
---print("postgres://orrery:" .. password .. "@db") --> ***
---```
---@class orrery.secret
local secret = {}

---@class orrery.secret.Store
local Store = {}

---Makes a secret, as `secret{...}` of a stack file does: exactly one of file, env, command and
---generate ("hex:32", "base64:32", "k256"), which needs a name.
---@param spec orrery.SecretSource
---@return orrery.Secret secret
function secret.new(spec) end

---Whether a value is a secret.
---@param value any
---@return boolean
function secret.is(value) end

---What a secret is made from, without its value; nil for one that is made of others.
---@param value table
---@return {source: string, from: string, name: string?}?
function secret.describe(value) end

---The secrets that are kept in a folder; `stack.config.dirs.state .. "/secrets"` are a stack's.
---@param folder string
---@return orrery.secret.Store
function secret.open(folder) end

---The text of a secret. One that is to be generated is made at the first time, and kept.
---@async
---@param value table
---@return string? text
---@return string? message
---@return string? code
function Store:resolve(value) end

return secret
