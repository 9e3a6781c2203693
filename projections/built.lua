-- Lets a generation be read that has all there is in the log, if it still is where that was found out.
-- KEYS: checkpoint. ARGV: expected position.
if redis.call('HGET', KEYS[1], 'position') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'building_to')
end
