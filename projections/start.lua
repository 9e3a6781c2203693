-- Makes an empty generation live unless there is another one by now; returns the live one.
-- KEYS: pointer, set of generations, checkpoint of the new generation. ARGV: new generation, generation to replace, and
-- the position it is not read before, 0 for none.
local live = redis.call('GET', KEYS[1])
if live and live ~= ARGV[2] then
  return live
end
redis.call('HSET', KEYS[3], 'position', '0', 'leaf', '', 'at_us', '0', 'building_to', ARGV[3])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
