-- Reads single values of many keys in one go. ARGV: prefix, command (HGET or LINDEX), JSON of keys and fields in turn.
local wanted, values = cjson.decode(ARGV[3]), {}
for i = 1, #wanted, 2 do
  values[#values + 1] = redis.call(ARGV[2], ARGV[1] .. wanted[i], wanted[i + 1])
end
return values
