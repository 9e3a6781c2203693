-- Notes why a generation stopped, if it still is where that was found out; returns 0 when it is not.
-- KEYS: checkpoint, note. ARGV: expected position, position of the event that cannot be applied, reason.
if redis.call('HGET', KEYS[1], 'position') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[2], 'position', ARGV[2], 'reason', ARGV[3])
return 1
