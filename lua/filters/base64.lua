--- base64 -- encoded as base64, with padding.
local filter = require "orrery.filter"

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function letter(word, shift)
  local at = (word >> shift & 63) + 1
  return ALPHABET:sub(at, at)
end

return function(value)
  local text, out = filter.text(value), {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local word = a << 16 | (b or 0) << 8 | (c or 0)
    out[#out + 1] = letter(word, 18) .. letter(word, 12) .. (b and letter(word, 6) or "=")
      .. (c and letter(word, 0) or "=")
  end
  return table.concat(out)
end
