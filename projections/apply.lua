-- Applies one step if the checkpoint is still where the step was computed, and moves the checkpoint with it.
-- KEYS: checkpoint. ARGV: expected position, new position, its leaf hash, its time, prefix of the keys, the writes as one
-- JSON list (of each its action, key and number of arguments, and these), and 1 to let the generation be read from here on.
local SEGMENT_MAX = 100

if redis.call('HGET', KEYS[1], 'position') ~= ARGV[1] then
  return 0
end
local writes = cjson.decode(ARGV[6])
-- A script that fails keeps what it wrote, and not every write can be repeated: then no position is left, and the next
-- drain begins another generation.
redis.call('HDEL', KEYS[1], 'position')

local call, unpack = redis.call, unpack
local prefix = ARGV[5]
local own = {}

-- Numbers of four bytes go on a list until it is dense, then into bitmaps. Arguments: a window's size, when a list is
-- dense, the numbers.
function own.listed(key, from, to)
  local window, least, share = writes[from], writes[from + 1], writes[from + 2]
  local length, packed = call('STRLEN', key) / 4, {}
  if length + to - from - 2 <= least then
    for i = from + 3, to do packed[#packed + 1] = struct.pack('<I4', writes[i]) end
    call('APPEND', key, table.concat(packed))
    return
  end
  local part, block = string.sub(key, #prefix + 1)
  local dense = call('HEXISTS', prefix .. 'x', part) == 1
  for i = from + 3, to do
    local number = writes[i]
    if not dense and length >= least and (length + 1) * share >= number then
      dense = true
      call('HSET', prefix .. 'x', part, number)
    end
    if dense then
      local bits, bit = prefix .. 'b:' .. part .. ':' .. math.floor((number - 1) / window), (number - 1) % window
      -- The end first: Redis makes a new string as long as it must be, but doubles one that grows.
      if bits ~= block and bit < window - 1 then call('SETBIT', bits, window - 1, 0) end
      block = bits
      call('SETBIT', bits, bit, 1)
    else
      call('APPEND', key, struct.pack('<I4', number))
      length = length + 1
    end
  end
end

-- Codes of four bytes beside those of the orders before. Arguments: a window's size, the first one's place, the codes.
function own.codes(key, from, to)
  local packed = {}
  for i = from + 2, to do packed[#packed + 1] = struct.pack('<I4', writes[i]) end
  if writes[from + 1] == 0 then call('SETRANGE', key, 4 * writes[from] - 1, '\0') end
  call('SETRANGE', key, 4 * writes[from + 1], table.concat(packed))
end

function own.items(key, from, to)
  for i = from, to, 2 do call('LSET', key, writes[i], writes[i + 1]) end
end

function own.join(key, from, to)
  for i = from, to, 2 do
    if call('HSETNX', key, writes[i], writes[i + 1]) == 0 then
      call('HSET', key, writes[i], call('HGET', key, writes[i]) .. ',' .. writes[i + 1])
    end
  end
end

function own.bits(key, from, to)
  local sets, cleared = {}, false
  for i = from, to, 2 do
    local at = #sets
    sets[at + 1], sets[at + 2], sets[at + 3], sets[at + 4] = 'SET', 'u1', writes[i], writes[i + 1]
    cleared = cleared or writes[i + 1] == 0
  end
  call('BITFIELD', key, unpack(sets))
  if cleared and call('BITCOUNT', key) == 0 then call('DEL', key) end
end

function own.counts(key, from, to)
  for i = from, to, 2 do
    if call('HINCRBY', key, writes[i], writes[i + 1]) == 0 then call('HDEL', key, writes[i]) end
  end
end

-- A sorted index: a directory of the first members of segments, which are split before they stop being packed.
local sizes

local function split(directory, segment)
  local upper = call('ZRANGE', segment, SEGMENT_MAX / 2, -1)
  local arguments = {}
  for i = 1, #upper do
    arguments[2 * i - 1] = 0
    arguments[2 * i] = upper[i]
  end
  call('ZREMRANGEBYRANK', segment, SEGMENT_MAX / 2, -1)
  call('ZADD', directory, 0, upper[1])
  call('ZADD', directory .. ':' .. upper[1], unpack(arguments))
  sizes[segment] = nil
end

function own.index(directory, from, to)
  sizes = {}
  for i = from, to do
    local member = writes[i]
    local first = call('ZREVRANGEBYLEX', directory, '[' .. member, '-', 'LIMIT', 0, 1)[1]
    if not first then
      first = ''
      call('ZADD', directory, 0, first)
    end
    local segment = directory .. ':' .. first
    local size = (sizes[segment] or call('ZCARD', segment)) + call('ZADD', segment, 0, member)
    sizes[segment] = size
    if size > SEGMENT_MAX then split(directory, segment) end
  end
end

local at, count = 1, #writes
while at <= count do
  local action, key, from, to = writes[at], prefix .. writes[at + 1], at + 3, at + 2 + writes[at + 2]
  if own[action] then
    own[action](key, from, to)
  else
    call(action, key, unpack(writes, from, to))
  end
  at = to + 1
end
redis.call('HSET', KEYS[1], 'position', ARGV[2], 'leaf', ARGV[3], 'at_us', ARGV[4])
if ARGV[7] == '1' then redis.call('HDEL', KEYS[1], 'building_to') end
return 1
