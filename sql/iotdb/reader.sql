-- An account that reads the database `north` and can do nothing else, for IoTDB 2.0.2 and later, table model.
-- Run it as root (`start-cli.sh -sql_dialect table …`), with the plant's database and a password of your own.
CREATE USER ferry_reader 'choose-one-4711';
GRANT SELECT ON DATABASE north TO USER ferry_reader;
