-- Returns the live generation, position, leaf and time of its checkpoint, and 1 when it is stopped; nothing when there is
-- none. KEYS: pointer. ARGV: the beginning of the keys of all generations.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local prefix = ARGV[1] .. generation .. ':'
local checkpoint = redis.call('HMGET', prefix .. 'checkpoint', 'position', 'leaf', 'at_us')
return {generation, checkpoint[1], checkpoint[2], checkpoint[3], redis.call('EXISTS', prefix .. 'stopped')}
