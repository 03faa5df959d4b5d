-- Who failed what: a job that failed goes to another agent first, and ends its run only once two
-- agents have failed it, where there are two.

-- Whoever failed last, who does not get the job again before others had a chance; NULL: anybody may.
-- A waiting job's `agent`, from here on: whose lease ran out; it may still deliver, or go on, under
-- the job's fence until somebody else takes the job.
ALTER TABLE job ADD COLUMN failed_agent INTEGER REFERENCES agent (id);
ALTER TABLE job_error ADD COLUMN agent INTEGER REFERENCES agent (id); -- NULL: the coordinator
