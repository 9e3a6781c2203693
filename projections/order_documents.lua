-- Reads documents. KEYS: checkpoint. ARGV: the position that must be reflected at least, the generation's prefix, documents in
-- a block, numbers. Returns the documents; nil when the checkpoint is gone or lower.
local position = redis.call('HGET', KEYS[1], 'position')
if not position or tonumber(position) < tonumber(ARGV[1]) then return false end
local prefix, per, documents = ARGV[2] .. 'd:', ARGV[3], {}
for i = 4, #ARGV do
  local at = ARGV[i] - 1
  documents[i - 3] = redis.call('LINDEX', prefix .. math.floor(at / per), at % per)
end
return documents
