-- Reads single values of many keys in one go. ARGV: prefix, command (HGET or LINDEX), keys and fields in turn.
local values = {}
for i = 3, #ARGV, 2 do
  values[#values + 1] = redis.call(ARGV[2], ARGV[1] .. ARGV[i], ARGV[i + 1])
end
return values
