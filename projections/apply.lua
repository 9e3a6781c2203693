-- Applies one step if the checkpoint is still where the step was computed, and moves the checkpoint with it.
-- KEYS: checkpoint. ARGV: expected position, new position, its leaf hash, its time, JSON of commands.
local SEGMENT_MAX = 100

if redis.call('HGET', KEYS[1], 'position') ~= ARGV[1] then
  return 0
end
local commands = cjson.decode(ARGV[5])
-- A script that fails keeps what it wrote, and not every write can be repeated: then no position is left, and the next
-- drain begins another generation.
redis.call('HDEL', KEYS[1], 'position')

local own = {}

function own.bits(key, changes)
  local cleared = false
  for i = 3, #changes, 2 do
    redis.call('SETBIT', key, changes[i], changes[i + 1])
    cleared = cleared or changes[i + 1] == 0
  end
  if cleared and redis.call('BITCOUNT', key) == 0 then redis.call('DEL', key) end
end

function own.counts(key, changes)
  for i = 3, #changes, 2 do
    if redis.call('HINCRBY', key, changes[i], changes[i + 1]) == 0 then redis.call('HDEL', key, changes[i]) end
  end
end

-- A sorted index: a directory of the first members of segments, which are split before they stop being packed.
local function insert(directory, member)
  local first = redis.call('ZREVRANGEBYLEX', directory, '[' .. member, '-', 'LIMIT', 0, 1)[1]
  if not first then
    first = ''
    redis.call('ZADD', directory, 0, first)
  end
  local segment = directory .. ':' .. first
  redis.call('ZADD', segment, 0, member)
  if redis.call('ZCARD', segment) <= SEGMENT_MAX then return end
  local upper = redis.call('ZRANGE', segment, SEGMENT_MAX / 2, -1)
  local arguments = {}
  for i = 1, #upper do
    arguments[2 * i - 1] = 0
    arguments[2 * i] = upper[i]
  end
  redis.call('ZREMRANGEBYRANK', segment, SEGMENT_MAX / 2, -1)
  redis.call('ZADD', directory, 0, upper[1])
  redis.call('ZADD', directory .. ':' .. upper[1], unpack(arguments))
end

function own.index(directory, members)
  for i = 3, #members do insert(directory, members[i]) end
end

for _, command in ipairs(commands) do
  local action = own[command[1]]
  if action then
    action(command[2], command)
  else
    redis.call(unpack(command))
  end
end
redis.call('HSET', KEYS[1], 'position', ARGV[2], 'leaf', ARGV[3], 'at_us', ARGV[4])
return 1
