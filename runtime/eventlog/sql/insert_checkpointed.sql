INSERT INTO work.checkpointed (stream, format) VALUES (%b, %b) ON CONFLICT DO NOTHING
