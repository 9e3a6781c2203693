-- Returns the live generation, the four fields of its checkpoint, and 1 when it is stopped; nothing when there is none.
-- KEYS: pointer. ARGV: the beginning of the keys of all generations.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local prefix = ARGV[1] .. generation .. ':'
local at = redis.call('HMGET', prefix .. 'checkpoint', 'position', 'leaf', 'at_us', 'building_to')
return {generation, at[1], at[2], at[3], at[4], redis.call('EXISTS', prefix .. 'stopped')}
