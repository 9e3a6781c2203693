-- Reads a part of the index over references. KEYS: checkpoint. ARGV: the position that must be reflected at least, the
-- generation's prefix, where to begin and to end (as bounds of a range of texts), how many members are enough. Returns members
-- of whole segments, and '' or where to go on; nil when the checkpoint is gone or lower.
local position = redis.call('HGET', KEYS[1], 'position')
if not position or tonumber(position) < tonumber(ARGV[1]) then return false end
local directory, from, to, enough = ARGV[2] .. 'r', ARGV[3], ARGV[4], tonumber(ARGV[5])
local segment = redis.call('ZREVRANGEBYLEX', directory, '[' .. string.sub(from, 2), '-', 'LIMIT', 0, 1)[1]
local found = {}
while segment do
  local members = redis.call('ZRANGEBYLEX', directory .. ':' .. segment, from, to)
  for i = 1, #members do found[#found + 1] = members[i] end
  if #found >= enough then return { found, '(' .. found[#found] } end
  segment = redis.call('ZRANGEBYLEX', directory, '(' .. segment, to, 'LIMIT', 0, 1)[1]
end
return { found, '' }
