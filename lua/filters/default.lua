--- default -- default(other): the other when there is no value. An empty string is a value.
return function(value, other)
  if value == nil then return other end
  return value
end
