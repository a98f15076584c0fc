UPDATE work.checkpointed SET used_at = now() WHERE stream = %b AND format = %b
