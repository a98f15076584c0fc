SELECT version, block, content, checksum FROM work.checkpoint_parts
WHERE stream = %b AND format = %b AND kind = %b AND block BETWEEN %b AND %b AND version <= %b
ORDER BY block, version
