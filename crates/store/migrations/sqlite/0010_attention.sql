-- Why a person should look at a decision: `undetermined`, or `doubtful`. The record says it too; this is how such
-- decisions are found.
ALTER TABLE decisions ADD COLUMN attention TEXT;
UPDATE decisions SET attention = 'undetermined' WHERE outcome = 'undetermined' AND shadow_of IS NULL;
UPDATE decisions SET attention = 'doubtful'
    WHERE outcome <> 'undetermined' AND shadow_of IS NULL AND EXISTS (
        SELECT 1 FROM records r WHERE r.seq = decisions.seq
            AND (r.body LIKE '%"confidence":"low"%' OR r.body LIKE '%"doubts":[%'));
CREATE INDEX decisions_by_attention ON decisions (tenant, seq) WHERE attention IS NOT NULL;
