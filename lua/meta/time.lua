---@meta
error("a meta file cannot be required")

---Clocks and waiting. Every time is in seconds.
---
---```lua
---local before = orrery.time.monotonic()
---orrery.time.sleep(0.1)
---print(orrery.time.monotonic() - before >= 0.1) --> true
---print(orrery.time.format(0)) --> 1970-01-01T00:00:00.000Z
---```
---@class orrery.time
local time = {}

---Waits.
---@async
---@param seconds number 0 to 1e9
---@return true
function time.sleep(seconds) end

---Seconds since 1970-01-01 UTC, with a fraction.
---@return number
function time.now() end

---Seconds of a clock that only goes forward; its zero means nothing.
---@return number
function time.monotonic() end

---A moment as RFC 3339 text in UTC, such as "2026-01-02T03:04:05.678Z".
---@param unix number seconds since 1970, before the year 10000
---@return string
function time.format(unix) end

return time
