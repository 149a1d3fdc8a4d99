-- What people were told, and until when (microseconds since 1970) nobody tells it again.
CREATE TABLE tollgate_notices (what TEXT PRIMARY KEY, until_us BIGINT NOT NULL);
