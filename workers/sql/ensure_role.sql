INSERT INTO work.leaders (role) VALUES (%s) ON CONFLICT (role) DO NOTHING
