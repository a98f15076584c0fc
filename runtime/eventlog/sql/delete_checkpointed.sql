DELETE FROM work.checkpointed WHERE stream = %b AND format = %b
