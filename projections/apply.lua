-- Applies one step if the checkpoint is still where the step was computed, and moves the checkpoint with it.
-- KEYS: checkpoint. ARGV: expected position, new position, its leaf hash, its time, JSON of commands.
if redis.call('HGET', KEYS[1], 'position') ~= ARGV[1] then
  return 0
end
for _, command in ipairs(cjson.decode(ARGV[5])) do
  redis.call(unpack(command))
end
redis.call('HSET', KEYS[1], 'position', ARGV[2], 'leaf', ARGV[3], 'at_us', ARGV[4])
return 1
