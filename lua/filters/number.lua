--- number -- a text as a number: digits, a fraction, an exponent; no blanks, no hexadecimal.
return function(value)
  if type(value) == "number" then return value end
  local text = type(value) == "string" and #value <= 64 and value or ""
  local digits = text:match("^-?%d+(.*)$")
  local rest = digits and (digits:match("^%.%d+(.*)$") or digits)
  if rest ~= "" and not (rest and rest:find("^[eE][+-]?%d+$")) then
    error("this is not a number", 0)
  end
  local number = tonumber(text)
  if number - number ~= 0 then error("this number is too large", 0) end
  return number
end
