-- What cannot be read of the files of runs, in sentences. Written with the index, and with it made again.
CREATE TABLE damage (run_id VARCHAR, problem VARCHAR);
