-- What jobs of a kind take: the last that were done of it, for each claim that finds no work.
CREATE INDEX job_usual ON job (run, kind, target, id) WHERE state = 2;
